use std::borrow::Cow;
use std::collections::BTreeMap;

use super::*;

fn add<'a>(tags: &[(&'a str, &'a str)]) -> Input<'a> {
    let tags: BTreeMap<Cow<'a, str>, Cow<'a, str>> = tags.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Input::AddTagsToStream(AddTagsToStreamInput { stream_name: Some("s".into()), tags, ..Default::default() })
}

fn remove<'a>(keys: &[&'a str]) -> Input<'a> {
    let tag_keys = keys.iter().map(|k| (*k).into()).collect();
    let stream_name = Some("s".into());
    Input::RemoveTagsFromStream(RemoveTagsFromStreamInput { stream_name, tag_keys, ..Default::default() })
}

fn list(world: &World, after: Option<&str>, limit: Option<i32>) -> (Vec<String>, bool) {
    let input = ListTagsForStreamInput {
        stream_name: Some("s".into()),
        exclusive_start_tag_key: after.map(Into::into),
        limit,
        ..Default::default()
    };
    match world.call(Input::ListTagsForStream(input)) {
        Ok(Output::ListTagsForStream(output)) => {
            let tags = output.tags.into_iter().map(|t| format!("{}={}", t.key, t.value.unwrap_or_default()));
            (tags.collect(), output.has_more_tags)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tags_are_added_replaced_listed_and_removed() {
    let world = World::new(at_once());
    world.create("s", 1);
    world.call(add(&[("b", "1"), ("a", ""), ("Zb", "x"), (" ", "y")])).expect("added");
    world.call(add(&[("b", "2")])).expect("replaced");
    assert_eq!(list(&world, None, None), ([" =y", "Zb=x", "a=", "b=2"].map(str::to_owned).to_vec(), false));
    assert_eq!(list(&world, Some("Zb"), Some(1)), (vec!["a=".to_owned()], true));
    world.call(remove(&["a", "absent"])).expect("removed");
    assert_eq!(list(&world, Some("Zb"), None), (vec!["b=2".to_owned()], false));
}

#[test]
fn bad_tags_are_refused_in_awss_words() {
    let world = World::new(at_once());
    world.create("s", 1);
    for bad in [";", "\t", "a,b", "a\n"] {
        world.refused(
            add(&[(bad, "v")]),
            ErrorCode::InvalidArgumentException,
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.",
        );
    }
    let error = world.call(add(&[("50%", "v")])).expect_err("refused");
    assert!(error.message.unwrap_or_default().starts_with("Failed to add tags to stream s under account 000000000000"));
    let error = world.call(remove(&["50%"])).expect_err("refused");
    assert!(error.message.unwrap_or_default().starts_with("Failed to remove tags from stream s"));
    assert!(world.call(add(&[("AWS:x", "v")])).is_err());
    let names: Vec<String> = (0..51).map(|i| format!("k{i}")).collect();
    let tags: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "v")).collect();
    assert!(world.call(add(&tags)).is_err());
    assert_eq!(list(&world, None, None).0.len(), 0);
    world.call(add(&tags[..50])).expect("fifty");
    assert!(world.call(add(&[("one more", "v")])).is_err());
    world.call(add(&[("k0", "again")])).expect("replacing is not adding");
}
