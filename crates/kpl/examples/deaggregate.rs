//! Takes records apart, one base64 text a line, and prints the user records of each as a line of JSON; `null` for an ordinary
//! record. The tests compare this with what the producers' own libraries say.

use std::io::{self, BufRead, Write};

use base64_simd::STANDARD;
use bytes::Bytes;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let data = STANDARD.decode_to_vec(line?.trim()).map_err(io::Error::other)?;
        let records = millstream_kpl::deaggregate(&Bytes::from(data)).map(|records| {
            let shown = records.iter().map(|record| {
                serde_json::json!({
                    "partition_key": &*record.partition_key,
                    "explicit_hash_key": record.explicit_hash_key.as_deref(),
                    "data": STANDARD.encode_to_string(&record.data),
                    "sub_sequence_number": record.sub_sequence_number,
                    "hash_key": record.hash_key().to_string(),
                })
            });
            shown.collect::<Vec<_>>()
        });
        writeln!(out, "{}", serde_json::json!(records))?;
    }
    Ok(())
}
