//! The rooms of the workspace and the one direction in which imports go.

use serde_json::Value;

/// What a crate of ours may import among the crates of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// Any of them: only the binary, which wires them together.
    All,
    /// These and no others.
    Only(&'static [&'static str]),
}

/// One row per crate of the workspace. A crate without a row is refused: a new room says first what it may see.
pub const ROOMS: &[(&str, May)] = &[
    ("millstream", May::All),
    // For its tests it opens what the service stands on.
    (
        "millstream-controls",
        May::Only(&["millstream-api", "millstream-env", "millstream-kinesis", "millstream-catalog", "millstream-log"]),
    ),
    ("millstream-server", May::Only(&["millstream-api", "millstream-env"])),
    ("millstream-kinesis", May::Only(&["millstream-api", "millstream-log", "millstream-catalog", "millstream-env"])),
    ("millstream-catalog", May::Only(&["millstream-env"])),
    ("millstream-log", May::Only(&["millstream-env"])),
    ("millstream-api", May::Only(&[])),
    ("millstream-kpl", May::Only(&[])),
    ("millstream-env", May::Only(&[])),
    // It feeds every parser of ours what nobody would send.
    ("millstream-fuzz", May::All),
    // Beside the product. They meet the server over the network only, so that what they prove is what a user gets.
    ("millstream-codegen", May::Only(&[])),
    ("millstream-architecture", May::Only(&[])),
    ("millstream-harness", May::Only(&[])),
    ("millstream-crash", May::Only(&["millstream-harness"])),
    ("millstream-bench", May::Only(&["millstream-harness"])),
    // But for this one, which damages what is on the disk and opens it as the binary does.
    (
        "millstream-damage",
        May::Only(&["millstream", "millstream-api", "millstream-env", "millstream-kinesis", "millstream-log"]),
    ),
    // The simulation drives the service without a network.
    (
        "millstream-sim",
        May::Only(&["millstream-api", "millstream-catalog", "millstream-env", "millstream-kinesis", "millstream-log"]),
    ),
];

/// Every way in which the output of `cargo metadata --no-deps` breaks the table, one sentence each.
///
/// Development and build dependencies count as well: a test that reaches across rooms ties them together too.
#[must_use]
pub fn violations(metadata: &Value, table: &[(&str, May)]) -> Vec<String> {
    let mut found = Vec::new();
    let packages = list(&metadata["packages"]);
    let ours: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in packages {
        let Some(name) = package["name"].as_str() else { continue };
        let Some((_, may)) = table.iter().find(|(room, _)| *room == name) else {
            found.push(format!("{name} has no row in the table of rooms"));
            continue;
        };
        let May::Only(allowed) = may else { continue };
        for dependency in list(&package["dependencies"]).iter().filter_map(|dependency| dependency["name"].as_str()) {
            if ours.contains(&dependency) && dependency != name && !allowed.contains(&dependency) {
                found.push(format!("{name} imports {dependency}, which the table of rooms does not allow"));
            }
        }
    }
    for (room, _) in table {
        if !ours.contains(room) {
            found.push(format!("the table of rooms has a row for {room}, which is not in the workspace"));
        }
    }
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &[(&str, May)] = &[("top", May::All), ("middle", May::Only(&["low"])), ("low", May::Only(&[]))];

    fn package(name: &str, dependencies: &[&str]) -> Value {
        let dependencies: Vec<Value> = dependencies.iter().map(|name| json!({ "name": name, "kind": null })).collect();
        json!({ "name": name, "dependencies": dependencies })
    }

    #[test]
    fn imports_downwards_pass() {
        let metadata = json!({ "packages": [
            package("top", &["middle", "low", "serde"]), package("middle", &["low", "serde"]), package("low", &["serde"]),
        ]});
        assert_eq!(violations(&metadata, TABLE), Vec::<String>::new());
    }

    #[test]
    fn an_import_upwards_is_named() {
        let metadata = json!({ "packages": [
            package("top", &[]), package("middle", &["low"]), package("low", &["middle"]),
        ]});
        assert_eq!(violations(&metadata, TABLE), ["low imports middle, which the table of rooms does not allow"]);
    }

    #[test]
    fn crates_and_rows_must_match() {
        let metadata = json!({ "packages": [package("top", &["new"]), package("middle", &[]), package("new", &[])] });
        assert_eq!(
            violations(&metadata, TABLE),
            [
                "new has no row in the table of rooms",
                "the table of rooms has a row for low, which is not in the workspace"
            ]
        );
    }
}
