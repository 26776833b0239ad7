use http::Method;
use sluice::local::host::route::{RouteTemplate, Routes};

#[test]
fn paths_match_templates_as_in_asp_net() {
    let ingest = "incoming/{vendor}/{servicetype}/{*requesttype}";
    let cases = [
        (ingest, "/incoming/twilio/sms/status", true),
        (ingest, "/INCOMING/twilio/sms/a/b/c", true),
        (ingest, "/incoming/twilio/sms", true),
        (ingest, "/incoming/twilio/sms/", true),
        (ingest, "/incoming/twilio", false),
        (ingest, "/incoming/twilio/", false),
        (ingest, "/incoming//sms", false),
        (ingest, "/incoming/twilio//x", false),
        (ingest, "/incoming/tw%69lio/sms", true),
        (ingest, "/incomin%67/twilio/sms", true),
        (ingest, "/api/incoming/twilio/sms", false),
        ("health", "/health", true),
        ("health", "/Health/", true),
        ("health", "/health/x", false),
        ("health", "/healthy", false),
        ("health", "/", false),
        ("a/{x?}", "/a", true),
        ("a/{x?}", "/a/", true),
        ("a/{x?}", "/a/b", true),
        ("a/{x?}", "/a/b/c", false),
        ("a/{x=1}", "/a", true),
        ("{*all}", "/", true),
        ("{*all}", "/a/b", true),
        ("{**all}", "/a/b", true),
        ("o/{id:int}", "/o/-7", true),
        ("o/{id:int}", "/o/seven", false),
        ("o/{id:int}", "/o/3000000000", false),
        ("o/{id:long}", "/o/3000000000", true),
        ("o/{id:int?}", "/o", true),
        ("o/{id:alpha}", "/o/abc", true),
        ("o/{id:alpha}", "/o/ab1", false),
        ("o/{id:guid}", "/o/4e773554-f6b7-4ea2-b07d-4c5fd5aba741", true),
        ("o/{id:guid}", "/o/4e77", false),
        ("o/{id:bool}", "/o/True", true),
        ("o/{id:length(2)}", "/o/%C3%A4b", true),
        ("o/{id:length(2,3)}", "/o/abcd", false),
        ("o/{id:minlength(3)}", "/o/ab", false),
        ("o/{id:maxlength(3)}", "/o/abc", true),
        ("o/{id:min(5)}", "/o/4", false),
        ("o/{id:range(5,9)}", "/o/9", true),
        ("o/{id:int:max(9)}", "/o/10", false),
        ("o/{id:double}", "/o/1.5", true),
    ];
    for (template, path, expected) in cases {
        let template = RouteTemplate::parse(template).unwrap();
        assert_eq!(template.matches(path), expected, "{} against {path}", template.text());
    }
}

#[test]
fn the_first_route_that_takes_path_and_method_wins() {
    let mut routes = Routes::default();
    for (template, methods) in
        [("a/{x}", Some(vec![Method::GET])), ("a/b", None), ("{*rest}", Some(vec![Method::POST]))]
    {
        routes.push(RouteTemplate::parse(template).unwrap(), methods);
    }
    assert_eq!(routes.find(&Method::GET, "/a/b"), Some(0), "a literal has no precedence");
    assert_eq!(routes.find(&Method::PUT, "/a/b"), Some(1));
    assert_eq!(routes.find(&Method::POST, "/a/c"), Some(2));
    assert_eq!(routes.find(&Method::PUT, "/a/c"), None);
    assert_eq!(routes.find(&Method::GET, "*"), None);
}
