//! A small copy of the results: what tables and plots need, one scenario to a line.

use crate::error::BenchError;
use crate::results::{Results, Sample};

/// Points that a line of a plot needs at most.
const POINTS: usize = 60;

/// The copy as JSON.
///
/// # Errors
/// None that is known.
pub fn json(results: &Results) -> Result<String, BenchError> {
    let mut small = results.clone();
    for measured in small.scenarios.iter_mut().flat_map(|scenario| &mut scenario.measured) {
        let shown = measured.middle().map(|sample| sample.round);
        for sample in &mut measured.samples {
            thin(sample, shown == Some(sample.round));
        }
    }
    let scenarios = std::mem::take(&mut small.scenarios);
    let wrong = |error: serde_json::Error| BenchError::Report(error.to_string());
    let head = serde_json::to_value(&small).map_err(wrong)?;
    let lines: Result<Vec<String>, _> = scenarios
        .iter()
        .map(|scenario| {
            let mut value = serde_json::to_value(scenario)?;
            round(&mut value);
            serde_json::to_string(&value)
        })
        .collect();
    let head = head.to_string();
    let lines = lines.map_err(wrong)?.join(",\n");
    Ok(head.replacen("\"scenarios\":[]", &format!("\"scenarios\":[\n{lines}\n]"), 1) + "\n")
}

/// Only the round that plots show keeps its lines, and those only as many points as are seen.
fn thin(sample: &mut Sample, shown: bool) {
    if let Some(latency) = &mut sample.latency {
        latency.points = every_nth(&latency.points, shown);
    }
    if let Some(memory) = &mut sample.memory {
        memory.over_time = every_nth(&memory.over_time, shown);
    }
}

fn every_nth<T: Copy>(points: &[T], shown: bool) -> Vec<T> {
    let step = points.len().div_ceil(POINTS).max(1);
    match (shown, points) {
        (false, _) | (_, []) => Vec::new(),
        // The last one is the end of the line.
        (true, [all @ .., last]) => all.iter().step_by(step).chain([last]).copied().collect(),
    }
}

/// Numbers to five digits.
fn round(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) if number.is_f64() => {
            let short = number.as_f64().and_then(|float| format!("{float:.4e}").parse::<f64>().ok());
            if let Some(short) = short.and_then(serde_json::Number::from_f64) {
                *number = short;
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(round),
        serde_json::Value::Object(values) => values.values_mut().for_each(round),
        _ => {}
    }
}
