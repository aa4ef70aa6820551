use millstream_kinesis::limits::{Limit, Limits, Scale};

use super::*;

fn load(flags: &[(Key, Raw)], environment: &[(&str, &str)], file: Option<&str>) -> Result<Config, String> {
    let flags = flags.iter().cloned().collect();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let path = file.map(|_| Path::new("m.toml"));
    Config::load(flags, path, environment, |_| Ok(file.unwrap_or_default().to_owned())).map_err(|error| error.0)
}

fn text(value: &str) -> Raw {
    Raw::Text(value.to_owned())
}

fn from_toml(file: &str) -> Result<Config, String> {
    load(&[], &[], Some(file))
}

#[test]
fn defaults() {
    let config = load(&[], &[], None).unwrap();
    assert_eq!(config.listen, ["127.0.0.1:4567".parse().unwrap()]);
    let path = PathBuf::from("millstream-data");
    assert_eq!(config.storage, Storage::Directory { path, durability: Durability::Fsync });
    assert_eq!(config.limits.limits(), Limits::aws());
    assert_eq!(config.transition_delay, Duration::from_millis(500));
    assert_eq!((&*config.region, &*config.account), ("us-east-1", "000000000000"));
}

#[test]
fn flags_cover_the_environment_which_covers_the_file() {
    let file = "region = \"eu-west-1\"\naccount = \"111111111111\"\ndrain = \"1s\"\n";
    let environment = [("MILLSTREAM_REGION", "eu-west-2"), ("MILLSTREAM_DRAIN", "2s"), ("HOME", "/")];
    let config = load(&[(Key::Region, text("eu-west-3"))], &environment, Some(file)).unwrap();
    assert_eq!((&*config.region, &*config.account), ("eu-west-3", "111111111111"));
    assert_eq!(config.drain, Duration::from_secs(2));
}

#[test]
fn variables_have_lists_and_switches() {
    let environment = [
        ("MILLSTREAM_LISTEN", "0.0.0.0:1, [::]:2"),
        ("MILLSTREAM_ALLOW_ANONYMOUS", "true"),
        ("MILLSTREAM_CONFIG", "x"),
    ];
    let config = load(&[], &environment, None).unwrap();
    assert_eq!(config.listen.len(), 2);
    let error = load(&[], &[("MILLSTREAM_EPHEMERAL", "perhaps")], None).unwrap_err();
    assert_eq!(error, "MILLSTREAM_EPHEMERAL: \"perhaps\" is neither true nor false");
    assert!(load(&[], &[("MILLSTREAM_DURABILTY", "fsync")], None).unwrap_err().starts_with("MILLSTREAM_DURABILTY: "));
    assert!(load(&[], &[("MILLSTREAM_SERVICE_HOST", "x"), ("MILLSTREAM_PORT_4567_TCP", "x")], None).is_ok());
}

#[test]
fn errors_stay_on_their_line() {
    for file in ["\"a\\nb\" = 1", "region = \"a\\nb\"", "[limits]\n\"a\\nb\" = 1", "drain = \"\\u001b[2J\""] {
        let error = from_toml(file).unwrap_err();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
    let error = load(&[], &[("MILLSTREAM_REGION", "a\nb")], None).unwrap_err();
    assert!(error.contains("a\\nb"), "{error:?}");
}

#[test]
fn errors_name_the_place() {
    let error = load(&[(Key::MinFree, text("much"))], &[], None).unwrap_err();
    assert!(error.starts_with("--min-free: \"much\" is not a size"), "{error}");
    let error = from_toml("min_free = \"much\"").unwrap_err();
    assert!(error.starts_with("m.toml: min_free: \"much\" is not a size"), "{error}");
    let error = from_toml("no_such_key = 1").unwrap_err();
    assert!(error.starts_with("m.toml: no_such_key: there is no such setting"), "{error}");
    let error = from_toml("\nregion = \"open\n").unwrap_err();
    assert!(error.starts_with("m.toml: line 2: "), "{error}");
    assert_eq!(from_toml("region = 5").unwrap_err(), "m.toml: region: a text in quotes is wanted");
    for wrong in ["listen = []", "listen = \"a\"", "ephemeral = \"x\"", "limits = 5", "listen = [5]"] {
        let error = from_toml(wrong).unwrap_err();
        assert!(error.starts_with("m.toml: ") && !error.contains('\n'), "{wrong}: {error}");
    }
}

#[test]
fn limits_by_name() {
    let config = from_toml("[limits]\non_demand_streams = 7\nshards_in_region = \"none\"\n").unwrap();
    let limits = config.limits.limits();
    assert_eq!(limits.on_demand_streams.get(), Some(7));
    assert_eq!(limits.shards_in_region.get(), None);
    assert_eq!(limits.tags, Limits::aws().tags);
    assert_eq!(from_toml("limits = \"none\"").unwrap().limits.limits(), Limits::none());
    let error = from_toml("[limits]\nno_such_limit = 7\n").unwrap_err();
    assert!(error.starts_with("m.toml: limits: ") && error.contains("no_such_limit"), "{error}");
}

#[test]
fn limits_by_factor() {
    let limits = |text: &str| load(&[(Key::Limits, Raw::Text(text.to_owned()))], &[], None).map(|c| c.limits.limits());
    let ten: Scale = "x10".parse().unwrap();
    assert_eq!(limits("x10"), Ok(Limits::aws().scaled(ten)));
    assert_eq!(from_toml("limits = \"x10\"").unwrap().limits.limits(), Limits::aws().scaled(ten));
    for text in ["x0", "10", "x", "off", "x-1", "X10"] {
        let error = limits(text).unwrap_err();
        assert!(
            error.starts_with(&format!("--limits: \"{text}\" is not a set of limits: write aws, none, or")),
            "{error}"
        );
    }
    // Names come after the factor.
    let table = from_toml("[limits]\nscale = \"x10\"\nshard_read_calls_per_second = 7\n").unwrap().limits.limits();
    assert_eq!(table, Limits { shard_read_calls_per_second: Limit::of(7), ..Limits::aws().scaled(ten) });
    let none = from_toml("[limits]\nscale = \"none\"\n").unwrap().limits.limits();
    assert_eq!(none, Limits::aws().unthrottled());
}

#[test]
fn limits_by_stream() {
    let file = "[limits]\ntags = 7\n[[limits.streams]]\nname = \"orders-*\"\nscale = \"x5\"\n\
                [[limits.streams]]\nname = \"clicks\"\naccount = \"111111111111\"\nregion = \"eu-west-1\"\n\
                scale = \"none\"\nretention_hours = 48\n";
    let config = from_toml(file).unwrap();
    let base = Limits { tags: Limit::of(7), ..Limits::aws() };
    assert_eq!(config.limits.limits(), base);
    let [orders, clicks] = config.limits.streams() else { panic!("{config:?}") };
    assert_eq!((orders.name.as_str(), &orders.account, &orders.region), ("orders-*", &None, &None));
    assert_eq!(*orders.limits, base.scaled("x5".parse().unwrap()));
    assert_eq!((clicks.account.as_deref(), clicks.region.as_deref()), (Some("111111111111"), Some("eu-west-1")));
    assert_eq!(*clicks.limits, Limits { retention_hours: Limit::of(48), ..base.unthrottled() });
    // Another layer replaces all of it.
    let covered = load(&[(Key::Limits, text("aws"))], &[], Some(file)).unwrap();
    assert_eq!(covered.limits, LimitsChoice::Aws);
}

#[test]
fn wrong_limits_are_named_in_one_line() {
    for (file, what) in [
        ("[limits]\nscale = 10", "limits: scale: \"none\" or a factor in quotes is wanted"),
        ("[limits]\nscale = \"10\"", "limits: scale: \"10\" is neither none nor a factor"),
        ("[limits]\nstreams = 5", "limits: streams: a list of tables is wanted"),
        ("[[limits.streams]]\nscale = \"x5\"", "limits: streams, entry 1: name: say which streams"),
        ("[[limits.streams]]\nname = \"a b\"", "limits: streams, entry 1: name: \"a b\" is not a stream name"),
        (
            "[[limits.streams]]\nname = \"a\"\naccount = \"1\"",
            "limits: streams, entry 1: account: \"1\" is not an account",
        ),
        ("[[limits.streams]]\nname = \"a\"\nregion = 5", "limits: streams, entry 1: region: a text in quotes"),
        (
            "[[limits.streams]]\nname = \"a\"\n[[limits.streams]]\nname = \"b\"\nscale = \"fast\"",
            "limits: streams, entry 2: scale: ",
        ),
        (
            "[[limits.streams]]\nname = \"a\"\non_demand_streams = 5",
            "limits: streams, entry 1: on_demand_streams counts for the account",
        ),
        (
            "[[limits.streams]]\nname = \"a\"\nno_such_limit = 5",
            "limits: streams, entry 1: unknown field `no_such_limit`",
        ),
        ("[[limits.streams]]\nname = \"a\"\ntags = -5", "limits: streams, entry 1: invalid value: integer `-5`"),
        ("limits = 5", "limits: \"aws\", \"none\", a factor as \"x10\", or a table is wanted"),
    ] {
        let error = from_toml(file).unwrap_err();
        assert!(error.starts_with(&format!("m.toml: {what}")) && !error.contains('\n'), "{file}: {error}");
    }
}

#[test]
fn other_machines_need_an_explicit_word() {
    let error = from_toml("listen = [\"0.0.0.0:4567\"]").unwrap_err();
    assert!(error.starts_with("m.toml: listen: 0.0.0.0:4567") && error.contains("--allow-anonymous"), "{error}");
    assert!(from_toml("listen = [\"0.0.0.0:4567\"]\nallow_anonymous = true").is_ok());
    // With test controls no less.
    assert!(from_toml("listen = [\"0.0.0.0:4567\"]\ntest_controls = true").unwrap_err().contains("--allow-anonymous"));
    assert!(from_toml("listen = [\"[::1]:4567\", \"127.9.9.9:1\", \"[::ffff:127.0.0.1]:1\"]").is_ok());
}

#[test]
fn ephemeral_goes_with_nothing_that_is_kept() {
    assert_eq!(from_toml("ephemeral = true").unwrap().storage, Storage::Ephemeral { max: 1 << 30 });
    assert!(from_toml("ephemeral = true\ndata_dir = \"x\"").unwrap_err().starts_with("m.toml: data_dir: "));
    assert!(from_toml("ephemeral = true\ndurability = \"fsync\"").unwrap_err().starts_with("m.toml: durability: "));
    assert!(from_toml("ephemeral_max = \"1MiB\"").unwrap_err().starts_with("m.toml: ephemeral_max: "));
}

#[test]
fn iam_is_refused_by_name() {
    let error = load(&[(Key::Auth, text("iam"))], &[], None).unwrap_err();
    assert!(error.starts_with("--auth: iam is not in this version"), "{error}");
}

#[test]
fn what_is_printed_is_a_file_with_the_same_meaning() {
    for file in [
        "",
        "ephemeral = true\nephemeral_max = \"10MB\"\nallow_host = [\"a.b\"]\ncors_origin = [\"http://a:1\"]\n",
        "durability = \"relaxed=50\"\ndata_dir = 'a \"b\" \\ c'\nmin_free = \"1000B\"\ndrain = \"90s\"\nlimits = \"none\"\n",
        "tls_cert = \"c.pem\"\ntls_key = \"k.pem\"\ntls_only = true\n",
        "limits = \"none\"\n[[streams]]\nname = \"a\"\nshards = 2\ntags = { x = \"y\" }\nconsumers = [\"c\"]\n[[streams]]\n\
         name = \"b\"\non_demand = true\nretention_hours = 48\n",
        "test_controls = true\ntransition_delay = \"0\"\nlog_level = \"trace\"\nlog_format = \"json\"\n[limits]\ncall_rates = false\n",
        "limits = \"x2.5\"\n",
        "[limits]\nscale = \"x3\"\n[[limits.streams]]\nname = \"a*\"\nregion = \"eu-west-1\"\nscale = \"x0.1\"\n\
         [[limits.streams]]\nname = \"b\"\nscale = \"none\"\n",
    ] {
        let config = from_toml(file).unwrap();
        let printed = config.to_toml().unwrap();
        let again = from_toml(&printed).unwrap();
        assert_eq!(again, config, "{printed}");
        assert_eq!(again.to_toml().unwrap(), printed);
    }
}

#[test]
fn tls_needs_both_files() {
    let files = TlsFiles { cert: "c.pem".into(), key: "k.pem".into(), only: false };
    let config = load(&[(Key::TlsCert, text("c.pem"))], &[("MILLSTREAM_TLS_KEY", "k.pem")], None).unwrap();
    assert_eq!(config.tls, Some(files));
    let error = load(&[(Key::TlsCert, text("c.pem"))], &[], None).unwrap_err();
    assert!(error.starts_with("--tls-cert: needs its private key as well"), "{error}");
    let error = load(&[], &[("MILLSTREAM_TLS_KEY", "k.pem")], None).unwrap_err();
    assert!(error.starts_with("MILLSTREAM_TLS_KEY: needs its certificate as well"), "{error}");
    let error = from_toml("tls_only = true").unwrap_err();
    assert!(error.starts_with("m.toml: tls_only: ") && error.contains("millstream certs"), "{error}");
    assert!(from_toml("tls_cert = \"\"\ntls_key = \"k\"").unwrap_err().starts_with("m.toml: tls_cert: "));
}

#[test]
fn streams_have_a_form() {
    let file = "account = \"111111111111\"\n[[streams]]\nname = \"a\"\nshards = 3\n[[streams]]\nname = \"a\"\n\
                region = \"eu-west-1\"\non_demand = true\n";
    let config = from_toml(file).unwrap();
    let seen: Vec<_> = config.streams.iter().map(|s| (&*s.account, &*s.region, s.capacity)).collect();
    assert_eq!(
        seen,
        [("111111111111", "us-east-1", Capacity::Shards(3)), ("111111111111", "eu-west-1", Capacity::OnDemand)]
    );
    for (entry, said) in [
        ("name = \"a\"\nshards = 1\nshard = 1", "\"a\": unknown field `shard`"),
        ("shards = 1", "number 1: missing field `name`"),
        ("name = \"a\"", "\"a\": has neither shards"),
        ("name = \"a\"\nshards = 1\non_demand = true", "\"a\": has shards and on_demand"),
        ("name = \"a\"\nshards = \"1\"", "\"a\": invalid type"),
        ("name = \"a\"\nshards = 0", "\"a\": 1 validation error detected: Value '0' at 'shardCount'"),
        ("name = \"a b\"\nshards = 1", "\"a b\": 1 validation error detected: Value 'a b' at 'streamName'"),
        ("name = \"a\"\nshards = 1\nretention_hours = 0", "\"a\": 1 validation error detected: Value '0'"),
        ("name = \"a\"\nshards = 1\nconsumers = [\"\"]", "\"a\": "),
        ("name = \"a\"\nshards = 1\nconsumers = [\"c\", \"d\", \"c\"]", "\"a\": has the consumer c twice"),
        ("name = \"a\"\nshards = 1\naccount = \"1\"", "\"a\": \"1\" is not an account"),
        ("name = \"a\"\nshards = 1\n[[streams]]\nname = \"a\"\nshards = 2", "\"a\": is there twice"),
    ] {
        let error = from_toml(&format!("[[streams]]\n{entry}\n")).unwrap_err();
        assert!(error.starts_with(&format!("m.toml: streams: {said}")) && !error.contains('\n'), "{entry}: {error}");
    }
    assert_eq!(from_toml("streams = 5").unwrap_err(), "m.toml: streams: [[...]] with settings below it is wanted");
    let error = load(&[], &[("MILLSTREAM_STREAMS", "a")], None).unwrap_err();
    assert!(error.starts_with("MILLSTREAM_STREAMS: ") && error.contains("[[streams]]"), "{error}");
}

#[test]
fn sizes_and_durations_are_strict() {
    for (text, bytes) in [("0", 0), ("1B", 1), ("64MiB", 64 << 20), ("1GB", 1_000_000_000), ("2TiB", 2 << 40)] {
        assert_eq!(values::size(text), Ok(bytes));
        assert_eq!(values::size(&values::show_size(bytes)), Ok(bytes));
    }
    for text in ["", "5", "MiB", "-1MiB", "1.5GiB", "1 MiB", "1mib", "99999999TiB", "18446744073709551616B"] {
        assert!(values::size(text).is_err(), "{text}");
    }
    for (text, ms) in [("0", 0), ("0ms", 0), ("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000)] {
        assert_eq!(values::duration(text), Ok(Duration::from_millis(ms)));
        assert_eq!(values::duration(&values::show_duration(Duration::from_millis(ms))), Ok(Duration::from_millis(ms)));
    }
    for text in ["", "5", "s", "-1s", "1.5s", "1 s", "1d", "+1s"] {
        assert!(values::duration(text).is_err(), "{text}");
    }
    for text in ["relaxed", "relaxed=", "relaxed=0", "relaxed=60001", "relaxed=+5", "FSYNC", "relaxed=soon"] {
        assert!(values::durability(text).is_err(), "{text}");
    }
}
