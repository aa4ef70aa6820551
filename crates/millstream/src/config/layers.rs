//! Where settings come from, and how one layer covers another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::limits::LimitsTable;
use super::values;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, clippy::enum_variant_names)] // named as the flags are
pub enum Key {
    Listen,
    DataDir,
    Durability,
    Ephemeral,
    EphemeralMax,
    Limits,
    TransitionDelay,
    Auth,
    AllowAnonymous,
    TestControls,
    AllowHost,
    CorsOrigin,
    Region,
    Account,
    Drain,
    MinFree,
    Snapshots,
    LogLevel,
    LogFormat,
    TlsCert,
    TlsKey,
    TlsOnly,
    Streams,
}

/// What kind of value a setting has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    List,
    Switch,
    /// Text, or in a file a table.
    Limits,
    /// Tables of a file, and nowhere else.
    Tables,
}

impl Key {
    /// Every setting.
    pub const ALL: [Key; 23] = [
        Key::Listen,
        Key::DataDir,
        Key::Durability,
        Key::Ephemeral,
        Key::EphemeralMax,
        Key::Limits,
        Key::TransitionDelay,
        Key::Auth,
        Key::AllowAnonymous,
        Key::TestControls,
        Key::AllowHost,
        Key::CorsOrigin,
        Key::Region,
        Key::Account,
        Key::Drain,
        Key::MinFree,
        Key::Snapshots,
        Key::LogLevel,
        Key::LogFormat,
        Key::TlsCert,
        Key::TlsKey,
        Key::TlsOnly,
        Key::Streams,
    ];

    /// Its name in a file; the flag has `-` for `_`, the variable is in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Key::Listen => "listen",
            Key::DataDir => "data_dir",
            Key::Durability => "durability",
            Key::Ephemeral => "ephemeral",
            Key::EphemeralMax => "ephemeral_max",
            Key::Limits => "limits",
            Key::TransitionDelay => "transition_delay",
            Key::Auth => "auth",
            Key::AllowAnonymous => "allow_anonymous",
            Key::TestControls => "test_controls",
            Key::AllowHost => "allow_host",
            Key::CorsOrigin => "cors_origin",
            Key::Region => "region",
            Key::Account => "account",
            Key::Drain => "drain",
            Key::MinFree => "min_free",
            Key::Snapshots => "snapshots",
            Key::LogLevel => "log_level",
            Key::LogFormat => "log_format",
            Key::TlsCert => "tls_cert",
            Key::TlsKey => "tls_key",
            Key::TlsOnly => "tls_only",
            Key::Streams => "streams",
        }
    }

    fn variable(self) -> String {
        format!("{PREFIX}{}", self.name().to_ascii_uppercase())
    }

    fn kind(self) -> Kind {
        match self {
            Key::Listen | Key::AllowHost | Key::CorsOrigin => Kind::List,
            Key::Ephemeral | Key::AllowAnonymous | Key::TestControls | Key::TlsOnly => Kind::Switch,
            Key::Limits => Kind::Limits,
            Key::Streams => Kind::Tables,
            _ => Kind::Text,
        }
    }
}

const PREFIX: &str = "MILLSTREAM_";
/// The variable that names the file; it can't be in the file itself.
const CONFIG: &str = "MILLSTREAM_CONFIG";
/// The variables that Kubernetes sets for a service named `millstream` begin so.
const FOREIGN: [&str; 2] = ["MILLSTREAM_SERVICE_", "MILLSTREAM_PORT"];

/// A value as it was given.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Text.
    Text(String),
    /// Several values.
    List(Vec<String>),
    /// On or off.
    Switch(bool),
    /// A table of a file.
    Table(toml::Table),
    /// Tables of a file, under one name.
    Tables(Vec<toml::Table>),
}

/// What one place sets.
pub type Layer = BTreeMap<Key, Raw>;

/// Where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// On the command line.
    Flag,
    /// In the environment.
    Environment,
    /// In a file.
    File(PathBuf),
}

/// One line: which setting is wrong, where it was made, and what it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// The settings that count, with their sources.
#[derive(Debug, Default)]
pub struct Layers(BTreeMap<Key, (Source, Raw)>);

impl Layers {
    /// Lays `layer` over what is there.
    pub fn add(&mut self, source: Source, layer: Layer) {
        for (key, raw) in layer {
            self.0.insert(key, (source.clone(), raw));
        }
    }

    /// Whether it is set anywhere.
    pub fn has(&self, key: Key) -> bool {
        self.0.contains_key(&key)
    }

    /// The error that says what is wrong with a setting.
    pub fn wrong(&self, key: Key, what: &str) -> ConfigError {
        let place = match self.0.get(&key) {
            None | Some((Source::Flag, _)) => format!("--{}", key.name().replace('_', "-")),
            Some((Source::Environment, _)) => key.variable(),
            Some((Source::File(path), _)) => format!("{}: {}", path.display(), key.name()),
        };
        ConfigError(format!("{place}: {what}"))
    }

    /// A setting of one value.
    pub fn text<T>(&self, key: Key, parse: fn(&str) -> Result<T, String>) -> Result<Option<T>, ConfigError> {
        match self.0.get(&key) {
            Some((_, Raw::Text(text))) => parse(text).map(Some).map_err(|what| self.wrong(key, &what)),
            _ => Ok(None),
        }
    }

    /// A setting of several values.
    pub fn list<T>(&self, key: Key, parse: fn(&str) -> Result<T, String>) -> Result<Option<Vec<T>>, ConfigError> {
        match self.0.get(&key) {
            Some((_, Raw::List(texts))) => {
                let values: Result<Vec<T>, String> = texts.iter().map(|text| parse(text)).collect();
                let values = values.map_err(|what| self.wrong(key, &what))?;
                if values.is_empty() && key == Key::Listen {
                    return Err(self.wrong(key, "at least one address is wanted"));
                }
                Ok(Some(values))
            }
            _ => Ok(None),
        }
    }

    /// A setting that is on or off.
    pub fn switch(&self, key: Key) -> Result<bool, ConfigError> {
        match self.0.get(&key) {
            Some((_, Raw::Switch(on))) => Ok(*on),
            Some((_, Raw::Text(text))) => values::switch(text).map_err(|what| self.wrong(key, &what)),
            _ => Ok(false),
        }
    }

    /// A setting of tables: none if it is not set.
    pub fn tables(&self, key: Key) -> &[toml::Table] {
        match self.0.get(&key) {
            Some((_, Raw::Tables(tables))) => tables,
            _ => &[],
        }
    }

    /// The table of limits, if they are given as one.
    pub fn table(&self, key: Key) -> Result<Option<LimitsTable>, ConfigError> {
        match self.0.get(&key) {
            Some((_, Raw::Table(table))) => {
                LimitsTable::from_toml(table.clone()).map(Some).map_err(|what| self.wrong(key, &what))
            }
            _ => Ok(None),
        }
    }
}

/// The settings of the environment, and the file that it names. A variable of ours that is none of them is an error: it
/// is a typing mistake.
pub fn from_environment(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(Layer, Option<PathBuf>), ConfigError> {
    let (mut layer, mut file) = (Layer::new(), None);
    for (name, value) in variables {
        if name == CONFIG {
            file = Some(PathBuf::from(value));
            continue;
        }
        if !name.starts_with(PREFIX) || FOREIGN.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let Some(key) = Key::ALL.into_iter().find(|key| key.variable() == name) else {
            return Err(ConfigError(format!("{name}: no setting has this variable; see millstream serve --help")));
        };
        let raw = match key.kind() {
            Kind::List => Raw::List(value.split(',').map(|part| part.trim().to_owned()).collect()),
            Kind::Text | Kind::Switch | Kind::Limits => Raw::Text(value),
            Kind::Tables => {
                let what = format!("{name}: these can be in the configuration file only, as [[{}]]", key.name());
                return Err(ConfigError(what));
            }
        };
        layer.insert(key, raw);
    }
    Ok((layer, file))
}

/// The settings of a file's text.
pub fn from_file(path: &Path, text: &str) -> Result<Layer, ConfigError> {
    let shown = path.display();
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        ConfigError(format!("{shown}: line {line}: {}", one_line(error.message())))
    })?;
    let mut layer = Layer::new();
    for (name, value) in table {
        let Some(key) = Key::ALL.into_iter().find(|key| key.name() == name) else {
            let known: Vec<&str> = Key::ALL.into_iter().map(Key::name).collect();
            return Err(ConfigError(format!(
                "{shown}: {name}: there is no such setting; there are {}",
                known.join(", ")
            )));
        };
        let raw = match (key.kind(), value) {
            (Kind::Text | Kind::Limits, toml::Value::String(text)) => Raw::Text(text),
            (Kind::Switch, toml::Value::Boolean(on)) => Raw::Switch(on),
            (Kind::Limits, toml::Value::Table(table)) => Raw::Table(table),
            (Kind::List, toml::Value::Array(values)) => {
                let texts: Option<Vec<String>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
                Raw::List(texts.ok_or_else(|| ConfigError(format!("{shown}: {name}: a list of texts is wanted")))?)
            }
            (Kind::Tables, toml::Value::Array(values)) if values.iter().all(toml::Value::is_table) => {
                Raw::Tables(values.into_iter().filter_map(|value| value.try_into().ok()).collect())
            }
            (kind, _) => {
                let wanted = match kind {
                    Kind::Text => "a text in quotes",
                    Kind::List => "a list of texts",
                    Kind::Switch => "true or false",
                    Kind::Limits => "\"aws\", \"none\", a factor as \"x10\", or a table",
                    Kind::Tables => "[[...]] with settings below it",
                };
                return Err(ConfigError(format!("{shown}: {name}: {wanted} is wanted")));
            }
        };
        layer.insert(key, raw);
    }
    Ok(layer)
}

/// The text with its control characters written out: what is shown of a file or a variable must not break the line, nor
/// reach the terminal.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, char| {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
        shown
    })
}

/// The text without line breaks.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
