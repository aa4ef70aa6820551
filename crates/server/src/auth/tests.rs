use http::Request;
use proptest::prelude::*;

use super::*;

fn defaults() -> Defaults {
    Defaults { account: "000000000000".into(), region: "us-east-1".into() }
}

fn ask(uri: &str, headers: &[(&str, &str)]) -> Result<Caller, Error> {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    caller(&request.body(()).unwrap().into_parts().0, &defaults(), &Known::default())
}

fn signed(credential: &str) -> Result<Caller, Error> {
    let header = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=abc");
    ask("/", &[("authorization", &header), ("x-amz-date", "20260101T000000Z")])
}

#[test]
fn the_credential_names_account_and_region() {
    let caller = signed("123456789012/20260101/eu-west-1/kinesis/aws4_request").unwrap();
    assert_eq!((&*caller.account, &*caller.region), ("123456789012", "eu-west-1"));
    let caller = signed("AKIDEXAMPLE/20260101/us-east-1/kinesis/aws4_request").unwrap();
    assert_eq!((&*caller.account, &*caller.region, &*caller.access_key), ("000000000000", "us-east-1", "AKIDEXAMPLE"));
    let caller = signed("a").unwrap();
    assert_eq!((&*caller.account, &*caller.region), ("000000000000", "us-east-1"));
}

#[test]
fn a_region_that_could_leave_its_directory_is_refused() {
    let long = "a".repeat(65);
    for region in ["..", "a_b", "US-EAST-1", "a%2Fb", &long] {
        let error = signed(&format!("k/20260101/{region}/kinesis/aws4_request")).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidSignatureException);
        assert_eq!(error.message.as_deref(), Some("Credential should be scoped to a valid region."));
    }
}

#[test]
fn nothing_at_all() {
    let error = ask("/", &[]).unwrap_err();
    assert_eq!(error, Error::new(ErrorCode::MissingAuthenticationTokenException, "Missing Authentication Token"));
    assert_eq!(ask("/", &[("authorization", "")]).unwrap_err(), error);
    let all_but_algorithm = "/?X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c&X-Amz-Date=d";
    assert_eq!(ask(all_but_algorithm, &[]).unwrap_err(), error);
}

#[test]
fn both_forms_at_once() {
    let error = ask("/?X-Amz-Algorithm", &[("authorization", "x")]).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidSignatureException);
    assert_eq!(
        error.message.as_deref(),
        Some("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
    );
}

#[test]
fn the_header_form_names_all_that_is_missing() {
    let error = ask("/", &[("authorization", "X")]).unwrap_err();
    assert_eq!(error.code, ErrorCode::IncompleteSignatureException);
    assert_eq!(
        error.message.as_deref(),
        Some(
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' \
             parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires \
             existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=X"
        )
    );
    let error = ask("/", &[("authorization", "AWS4- Signature=b Credential=a"), ("date", "a")]).unwrap_err();
    assert_eq!(
        error.message.as_deref(),
        Some("Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4- Signature=b Credential=a")
    );
    let caller = ask("/", &[("authorization", "AWS4- Signature=b,Credential=a,SignedHeaders=c"), ("date", "a")]);
    assert_eq!(&*caller.unwrap().access_key, "a");
}

#[test]
fn the_query_form_names_all_that_is_missing() {
    let error = ask("/?X-Amz-Algorithm", &[]).unwrap_err();
    assert_eq!(error.code, ErrorCode::IncompleteSignatureException);
    assert_eq!(
        error.message.as_deref(),
        Some(
            "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include \
             'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string \
             parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. \
             Re-examine the query-string parameters."
        )
    );
    let error = ask("/?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d", &[]).unwrap_err();
    assert_eq!(
        error.message.as_deref(),
        Some("AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the query-string parameters.")
    );
}

#[test]
fn the_query_form_is_percent_decoded() {
    let uri = "/?X-Amz-Algorithm=A&X-Amz-Credential=123456789012%2F20260101%2Fap-south-1%2Fkinesis%2Faws4_request\
               &X-Amz-Signature=c&X-Amz-SignedHeaders=host&X-Amz-Date=d";
    let caller = ask(uri, &[]).unwrap();
    assert_eq!((&*caller.account, &*caller.region), ("123456789012", "ap-south-1"));
}

proptest! {
    #[test]
    fn any_text_is_read(header in "\\PC*", credential in "\\PC*", query in "[ -~]*") {
        let _ = from_header(&header, &HeaderMap::new());
        if let Ok(caller) = from_credential(&credential, &defaults()) {
            prop_assert!(is_region(&caller.region));
            prop_assert_eq!(caller.account.len(), 12);
        }
        let _ = Query::of(&query).caller(&defaults());
        let _ = percent_decoded(&query);
    }
}
