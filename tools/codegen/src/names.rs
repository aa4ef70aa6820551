//! Names of the model in Rust's styles.

/// `StreamARN` → `stream_arn`, `MaxRecordSizeInKiB` → `max_record_size_in_kib`.
pub fn snake_case(name: &str) -> String {
    // Units of measure are one word each.
    let name = name.replace("KiB", "Kib").replace("MiBps", "Mibps");
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, character) in characters.iter().enumerate() {
        if character.is_ascii_uppercase() && index > 0 {
            let after_word = !characters[index - 1].is_ascii_uppercase();
            let before_word = characters.get(index + 1).is_some_and(char::is_ascii_lowercase);
            if after_word || before_word {
                snake.push('_');
            }
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// `HashKey` → `HASH_KEY`.
pub fn screaming_snake_case(name: &str) -> String {
    snake_case(name).to_ascii_uppercase()
}

/// A member's name as a field: its snake case, or a raw identifier where that is a keyword.
pub fn field(name: &str) -> String {
    let snake = snake_case(name);
    if snake == "type" { "r#type".to_owned() } else { snake }
}

/// An enumeration's value as a variant: `AT_TIMESTAMP` → `AtTimestamp`, `IncomingBytes` → `IncomingBytes`.
pub fn variant(value: &str) -> String {
    if value.chars().any(|c| c.is_ascii_lowercase()) {
        return value.to_owned();
    }
    value
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(1.min(word.len()));
            format!("{first}{}", rest.to_ascii_lowercase())
        })
        .collect()
}

/// A member's name as validation errors print it: `streamARN`.
pub fn path_step(name: &str) -> String {
    let (first, rest) = name.split_at(1.min(name.len()));
    format!("{}{rest}", first.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_fields() {
        for (member, expected) in [
            ("StreamName", "stream_name"),
            ("StreamARN", "stream_arn"),
            ("KeyId", "key_id"),
            ("MaxRecordSizeInKiB", "max_record_size_in_kib"),
            ("WarmThroughputMiBps", "warm_throughput_mibps"),
            ("S3TablesDestinationConfiguration", "s3_tables_destination_configuration"),
            ("GSRSchemaARN", "gsr_schema_arn"),
            ("Type", "r#type"),
        ] {
            assert_eq!(field(member), expected);
        }
    }

    #[test]
    fn values_become_variants() {
        for (value, expected) in [
            ("AT_SEQUENCE_NUMBER", "AtSequenceNumber"),
            ("S3_TABLES", "S3Tables"),
            ("ALL", "All"),
            ("IncomingBytes", "IncomingBytes"),
        ] {
            assert_eq!(variant(value), expected);
        }
        assert_eq!(path_step("StreamARN"), "streamARN");
    }
}
