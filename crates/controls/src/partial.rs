//! PutRecords of which single records fail: the service writes the others.

use millstream_api::kinesis::{Input, Output, PutRecordsInput, PutRecordsOutput, PutRecordsResultEntry, Service};
use millstream_api::{Context, Error};

use crate::Controls;
use crate::faults::Failure;

impl Controls {
    /// Has the service write the records that do not fail, and puts the failures between what it says of them.
    pub(crate) async fn put_partly(
        &self,
        context: &Context,
        mut input: PutRecordsInput<'_>,
        failing: Vec<Option<Failure>>,
    ) -> Result<Output, Error> {
        let mut fails = failing.iter().map(Option::is_some);
        input.records.retain(|_| !fails.next().unwrap_or(false));
        let written = if input.records.is_empty() {
            PutRecordsOutput::default()
        } else {
            match self.kinesis.call(context, Input::PutRecords(input)).await? {
                Output::PutRecords(output) => output,
                other => return Ok(other),
            }
        };
        Ok(Output::PutRecords(splice(written, failing)))
    }
}

fn splice(written: PutRecordsOutput, failing: Vec<Option<Failure>>) -> PutRecordsOutput {
    let more = failing.iter().filter(|failure| failure.is_some()).count();
    let mut rest = written.records.into_iter();
    let records = failing.into_iter().filter_map(|failure| match failure {
        Some(Failure { code, message }) => Some(PutRecordsResultEntry {
            error_code: Some(code.to_owned()),
            error_message: Some(message),
            ..PutRecordsResultEntry::default()
        }),
        None => rest.next(),
    });
    let records: Vec<PutRecordsResultEntry> = records.collect();
    let failed = written.failed_record_count.unwrap_or(0).saturating_add(i32::try_from(more).unwrap_or(i32::MAX));
    PutRecordsOutput { failed_record_count: Some(failed), records, ..written }
}
