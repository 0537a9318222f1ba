//! The description of our own surface against the program: schemathesis (PyPI) makes requests of it, good and bad, and looks
//! at what comes back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use e2e::country::{Country, USER, Wish};
use e2e::merchant::http;
use e2e::sipp::Behaviour;
use serde_json::Value;

/// The program of the environment that `tests/run` makes.
fn schemathesis() -> PathBuf {
    let here = std::env::current_exe().expect("a test");
    let inside = "peers/schemathesis/bin/st";
    let found = here.ancestors().map(|folder| folder.join(inside)).find(|file| file.exists());
    found.expect("target/peers/schemathesis: tests/run makes it")
}

#[test]
fn requests_that_are_made_of_the_description_find_no_fault_of_ours() {
    let answers = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let more = "\n[[inbound]]\nnumber = \"+861053180009\"\nextension = \"80000\"\n".to_owned();
    let wish = Wish { more, ..Wish::default() };
    let country = Country::new(&wish, &answers, &answers, 1);
    let scopes = all_scopes(&country);
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let bearer = format!("Authorization: Bearer {}", country.tandem.api_key(USER, &scopes));
    let described = format!("http://{}/v1/openapi.json", country.tandem.http);
    // The stream of events has no end; all else is asked for.
    let found = Command::new(schemathesis())
        .args(["run", &described, "--header", &bearer, "--exclude-operation-id", "Events"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--max-time", "20"])
        .args(["--report", "har", "--report-har-path", "asked.har"])
        .args(["--checks", CHECKS, "--request-timeout", "5", "--seed", "1", "--no-shrink"])
        // Two threads of it parse at once what Python 3.11 cannot: `AST constructor recursion depth mismatch`.
        .args(["--workers", "1", "--no-color"])
        .current_dir(country.folder.path())
        .output()
        .expect("schemathesis runs");
    let told = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success(), "{told}\n{}", String::from_utf8_lossy(&found.stderr));
    let asked = std::fs::read_to_string(country.folder.path().join("asked.har")).expect("a report");
    each_operation_was_reached(&described_by(&country), &asked);
    let metrics = country.tandem.metrics();
    let count = |name: &str| metrics.get(name).copied().unwrap_or_default();
    let (all, failed) =
        (count("tandem_api_rest_requests_total"), count("tandem_api_rest_failures_total"));
    assert!(all > 200.0 && all - failed > 20.0, "{all} requests, {failed} refused\n{told}");
}

/// No 5xx, and nothing that the description does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

fn described_by(country: &Country) -> Value {
    let (_, text) = http(country.tandem.http, "GET", "/v1/openapi.json", &[], "");
    serde_json::from_str(&text).expect("JSON")
}

/// The operation that a request is for: that of the path with the fewest variables.
fn operation(described: &Value, method: &str, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let variables = |template: &str| template.matches('{').count();
    let fits = |template: &str| {
        let template: Vec<&str> = template.trim_start_matches("/v1").split('/').collect();
        let same = |(own, part): (&&str, &&str)| own.starts_with('{') || own == part;
        template.len() == parts.len() && template.iter().zip(&parts).all(same)
    };
    let paths = described["paths"].as_object()?;
    let (_, found) =
        paths.iter().filter(|(path, _)| fits(path)).min_by_key(|(path, _)| variables(path))?;
    found[method.to_lowercase()]["operationId"].as_str().map(str::to_owned)
}

/// That each operation but the stream was asked, and answered as itself: not for want of a key, of a method or of time.
fn each_operation_was_reached(described: &Value, asked: &str) {
    let asked: Value = serde_json::from_str(asked).expect("a report");
    let mut done: BTreeMap<String, u32> = BTreeMap::new();
    let mut refused: BTreeMap<String, u32> = BTreeMap::new();
    for one in asked["log"]["entries"].as_array().expect("entries") {
        let (request, status) = (&one["request"], one["response"]["status"].as_u64());
        let url = request["url"].as_str().expect("a URL").split('?').next().unwrap_or_default();
        let Some((_, path)) = url.split_once("/v1") else { continue };
        let method = request["method"].as_str().expect("a method");
        let Some(operation) = operation(described, method, path) else { continue };
        match status {
            Some(200..300) => *done.entry(operation).or_default() += 1,
            Some(400 | 402 | 404 | 409 | 413 | 415 | 422) => {
                *refused.entry(operation).or_default() += 1;
            }
            _ => {}
        }
    }
    let paths = described["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        for told in methods.as_object().expect("methods").values() {
            let Some(name) = told["operationId"].as_str().filter(|name| *name != "Events") else {
                continue;
            };
            let count = |of: &BTreeMap<String, u32>| of.get(name).copied().unwrap_or_default();
            let (done, refused) = (count(&done), count(&refused));
            assert!(done + refused > 0, "{name} was not reached");
            // What is there without anybody's doing is shown.
            let plain = !path.contains('{') && methods["get"]["operationId"] == name;
            assert!(done > 0 || !plain, "{name} was never done, {refused} times refused");
        }
    }
}

/// All scopes that the description names.
fn all_scopes(country: &Country) -> Vec<String> {
    let described = described_by(country);
    let paths = described["paths"].as_object().expect("paths").values();
    let operations = paths.flat_map(|path| path.as_object().expect("operations").values());
    let scope = |told: &Value| told["security"][0]["key"][0].as_str().map(str::to_owned);
    let all: std::collections::BTreeSet<String> = operations.filter_map(scope).collect();
    all.into_iter().collect()
}
