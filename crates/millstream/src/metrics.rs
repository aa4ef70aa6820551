//! The recorder of metrics, and what the binary itself records.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Records acknowledged, of all streams.
pub const RECORDS_IN: &str = "millstream_records_in_total";
/// Bytes of data and partition keys acknowledged.
pub const BYTES_IN: &str = "millstream_record_bytes_in_total";
/// Records given to readers.
pub const RECORDS_OUT: &str = "millstream_records_out_total";
/// Bytes of data and partition keys given to readers.
pub const BYTES_OUT: &str = "millstream_record_bytes_out_total";
/// Records and calls turned away by a limit, by reason.
pub const THROTTLED: &str = "millstream_throttled_total";
/// How many problems health shows.
pub const PROBLEMS: &str = "millstream_problems";
/// Always 1; its labels say which version runs.
pub const BUILD: &str = "millstream_build_info";

/// Upper bounds of histograms of seconds.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// Upper bounds of histograms of bytes.
const BYTES: [f64; 9] = [1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6, 64e6];

/// Installs the recorder for the whole process.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)?
        .install_recorder()?;
    millstream_log::metrics::describe();
    millstream_server::metrics::describe();
    describe_counter!(RECORDS_IN, "Records acknowledged");
    describe_counter!(BYTES_IN, metrics::Unit::Bytes, "Bytes of data and partition keys acknowledged");
    describe_counter!(RECORDS_OUT, "Records given to readers");
    describe_counter!(BYTES_OUT, metrics::Unit::Bytes, "Bytes of data and partition keys given to readers");
    describe_counter!(THROTTLED, "Records and calls turned away by a limit, by reason");
    describe_gauge!(PROBLEMS, "Problems that /_millstream/health shows; 0 if all is well");
    describe_gauge!(BUILD, "Always 1; the labels say which version runs");
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // A counter that starts at 0 shows its first increase.
    for name in
        [millstream_log::metrics::COMMITS, millstream_log::metrics::CACHE_HITS, millstream_log::metrics::CACHE_MISSES]
    {
        counter!(name).increment(0);
    }
    for reason in crate::meter::REASONS {
        counter!(THROTTLED, "reason" => reason).increment(0);
    }
    Ok(handle)
}

/// Shows how many problems there are now.
pub fn show_problems(count: usize) {
    gauge!(PROBLEMS).set(count as f64);
}
