use super::*;

/// Creates streams until one is refused, at most ten, and gives how many there are.
fn created(world: &World, stem: &str) -> usize {
    let names: Vec<String> = (0..10).map(|number| format!("{stem}{number}")).collect();
    names.iter().take_while(|name| world.call(create(name, 1)).is_ok()).count()
}

#[test]
fn before_the_first_request_nothing_is_paced() {
    let with_rates = |limits: Limits| World::new(KinesisConfig { limits, ..config() });
    // Each of the two limits alone, lifted and back.
    let (rates, transitions) =
        (Limits { call_rates: true, ..Limits::none() }, Limits { call_rates: false, ..Limits::aws() });
    for limits in [rates, transitions] {
        let world = with_rates(limits.clone());
        assert_eq!(created(&world, "paced"), 5, "{limits:?}");
        let unpaced = world.kinesis.unpaced();
        assert_eq!(created(&world, "unpaced"), 10, "{limits:?}");
        drop(unpaced);
        assert_eq!(created(&world, "again"), 0, "{limits:?}");
    }
}

#[test]
fn quotas_count_all_the_same() {
    let world = World::new(KinesisConfig {
        limits: Limits { on_demand_streams: crate::limits::Limit::of(1), ..Limits::aws() },
        ..config()
    });
    let _unpaced = world.kinesis.unpaced();
    assert!(world.call(create_on_demand("a")).is_ok());
    assert_eq!(world.error(create_on_demand("b")).code, ErrorCode::LimitExceededException);
}
