//! The description of `/v1`: OpenAPI 3.1, made of the table of operations and of the types that requests are read into and
//! answers are written from; and the same as a page to read. Nothing in either is written twice.

use std::fmt::Write as _;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::{
    Accepted, AnsweredNumber, AxbBinding, Balance, Begun, Call, Campaign, CampaignMade,
    CampaignNumber, ChangedAxb, ChangedWebhook, Code, Delivery, Event, InboundNumber, JSON,
    Meeting, Member, MenuInput, MenuInvoice, MenuScreen, MenuSession, NewAxb, NewCall, NewCampaign,
    NewCode, NewConference, NewMembers, NewMenu, NewNotice, NewNumberScenario, NewNumbers, NewPlay,
    NewSecret, NewWebhook, NumbersAdded, Op, PROBLEM_JSON, Page, Problem, Scope, Tested, Webhook,
};

/// What an operation takes and gives.
struct Shape {
    body: Option<Schema>,
    /// May be left out.
    optional_body: bool,
    status: u16,
    /// Media type, and the schema of what is JSON.
    answers: Vec<(&'static str, Option<Schema>)>,
    query: Vec<Value>,
    headers: Vec<Value>,
}

/// Schemas of both ways: what is read leaves out what has a default, what is written has all.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    fn new() -> Schemas {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        let written = settings().for_serialize().into_generator();
        Schemas { read: settings().into_generator(), written }
    }

    fn takes<T: JsonSchema>(&mut self) -> Option<Schema> {
        Some(self.read.subschema_for::<T>())
    }

    fn gives<T: JsonSchema>(&mut self) -> Vec<(&'static str, Option<Schema>)> {
        vec![(JSON, Some(self.written.subschema_for::<T>()))]
    }

    fn finish(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        all
    }
}

/// The description. `version`: of the program.
#[must_use]
pub fn openapi(version: &str) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for op in Op::ALL {
        let shape = shape(*op, &mut schemas);
        let path = paths.entry(format!("/v1{}", op.path())).or_insert_with(|| json!({}));
        path[op.method().to_ascii_lowercase()] = operation(*op, shape);
    }
    let problem = schemas.written.subschema_for::<Problem>();
    let scopes = Scope::ALL.iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem /v1",
            "version": version,
            "description": "Calls, menus, recordings and events for merchants. Instants are RFC 3339 in UTC with \
                milliseconds, money is integers of 1e-6 of a currency unit, call ids are 19 digits of text.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": { "key": {
                "type": "http", "scheme": "bearer",
                "description": format!("A key of the operator's, good for some of {}.", scopes.join(", ")),
            }},
            "responses": { "Problem": {
                "description": "What went wrong (RFC 9457).",
                "content": { PROBLEM_JSON: { "schema": problem } },
            }},
        },
    })
}

fn operation(op: Op, shape: Shape) -> Value {
    let mut parameters: Vec<Value> = variables(op).map(|name| parameter(name, "path")).collect();
    parameters.extend(shape.query);
    parameters.extend(shape.headers);
    let content = |(kind, schema): (&'static str, Option<Schema>)| {
        let schema = schema.map_or_else(|| json!({ "type": "string" }), Value::from);
        (kind.to_owned(), json!({ "schema": schema }))
    };
    let content: Map<String, Value> = shape.answers.into_iter().map(content).collect();
    let mut told = json!({
        "operationId": op.word(),
        "summary": op.summary(),
        "security": [{ "key": [op.scope().word()] }],
        "parameters": parameters,
        "responses": { "default": { "$ref": "#/components/responses/Problem" } },
    });
    // A binding that is there already is told, and not made.
    for status in [Some(shape.status), (op == Op::BindAxb).then_some(200)].into_iter().flatten() {
        let answer = json!({ "description": op.summary(), "content": content });
        told["responses"][status.to_string()] = answer;
    }
    if let Some(schema) = shape.body {
        let content = json!({ JSON: { "schema": schema } });
        told["requestBody"] = json!({ "required": !shape.optional_body, "content": content });
    }
    told
}

/// The variables of a path.
fn variables(op: Op) -> impl Iterator<Item = &'static str> {
    op.path().split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(name: &str, place: &str) -> Value {
    let schema = match name {
        "call" | "session" => json!({ "type": "string", "pattern": "^[0-9]{19}$" }),
        "conference" => json!({ "type": "string", "pattern": "^[0-9]{6}$" }),
        "number" | "party" => json!({ "type": "string", "pattern": "^\\+?[0-9]{3,20}$" }),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 50 }),
        "after" | "Last-Event-ID" => json!({ "type": "string", "pattern": "^[0-9]{1,18}$" }),
        "status" => json!({ "enum": ["open", "ended"], "default": "ended" }),
        "Idempotency-Key" => json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        _ => json!({ "type": "string", "pattern": "^[0-9]{1,18}$" }),
    };
    json!({ "name": name, "in": place, "required": place == "path", "schema": schema })
}

fn shape(op: Op, schemas: &mut Schemas) -> Shape {
    let plain = |schemas: &mut Schemas| schemas.gives::<Map<String, Value>>();
    let (status, answers) = match op {
        Op::PlaceCall | Op::PlaceCode | Op::PlaceNotice => (201, schemas.gives::<Accepted>()),
        Op::BeginConference => (201, schemas.gives::<Begun>()),
        Op::ShowConference => (200, schemas.gives::<Meeting>()),
        Op::BeginCampaign => (201, schemas.gives::<CampaignMade>()),
        Op::ListCampaigns => (200, schemas.gives::<Page<Campaign>>()),
        Op::ShowCampaign | Op::PauseCampaign | Op::ResumeCampaign | Op::CancelCampaign => {
            (200, schemas.gives::<Campaign>())
        }
        Op::AddCampaignNumbers => (200, schemas.gives::<NumbersAdded>()),
        Op::ListCampaignNumbers => (200, schemas.gives::<Page<CampaignNumber>>()),
        Op::BindAxb => (201, schemas.gives::<AxbBinding>()),
        Op::ListAxb => (200, schemas.gives::<Page<AxbBinding>>()),
        Op::ShowAxb | Op::ChangeAxb | Op::UnbindAxb => (200, schemas.gives::<AxbBinding>()),
        Op::ListNumbers => (200, schemas.gives::<Page<InboundNumber>>()),
        Op::ShowNumberScenario | Op::PutNumberScenario => (200, schemas.gives::<AnsweredNumber>()),
        Op::DropNumberScenario => (200, schemas.gives::<InboundNumber>()),
        Op::OpenMenu => (201, schemas.gives::<MenuScreen>()),
        Op::TypeMenu => (200, schemas.gives::<MenuScreen>()),
        Op::ListMenus => (200, schemas.gives::<Page<MenuSession>>()),
        Op::ListInvoices => (200, schemas.gives::<Page<MenuInvoice>>()),
        Op::ShowInvoice => (200, schemas.gives::<MenuInvoice>()),
        Op::ListCalls => (200, schemas.gives::<Page<Call>>()),
        Op::ShowCall => (200, schemas.gives::<Call>()),
        Op::HangUp | Op::Redeliver | Op::RedeliverAll | Op::CloseConference | Op::Invite => {
            (202, plain(schemas))
        }
        Op::Mute | Op::Unmute | Op::Deafen | Op::Undeafen | Op::Kick | Op::Lock | Op::Unlock => {
            (200, plain(schemas))
        }
        Op::Play | Op::StopPlay | Op::PauseRecording | Op::ResumeRecording | Op::RemoveWebhook => {
            (200, plain(schemas))
        }
        Op::LeaveMenu => (200, plain(schemas)),
        Op::Recording => {
            (200, ["audio/mpeg", "audio/wav", "audio/ogg"].map(|kind| (kind, None)).to_vec())
        }
        Op::Events => {
            let mut answers = schemas.gives::<Page<Event>>();
            answers.push(("text/event-stream", None));
            (200, answers)
        }
        Op::CreateWebhook => (201, schemas.gives::<Webhook>()),
        Op::ListWebhooks => (200, schemas.gives::<Page<Webhook>>()),
        Op::ShowWebhook | Op::ChangeWebhook | Op::RotateSecret => (200, schemas.gives::<Webhook>()),
        Op::TestWebhook => (200, schemas.gives::<Tested>()),
        Op::ListDeliveries => (200, schemas.gives::<Page<Delivery>>()),
        Op::ShowDelivery => (200, schemas.gives::<Delivery>()),
        Op::Balance => (200, schemas.gives::<Balance>()),
    };
    let body = match op {
        Op::PlaceCall => schemas.takes::<NewCall>(),
        Op::PlaceCode => schemas.takes::<NewCode>(),
        Op::PlaceNotice => schemas.takes::<NewNotice>(),
        Op::BeginConference => schemas.takes::<NewConference>(),
        Op::Invite => schemas.takes::<NewMembers>(),
        Op::Mute | Op::Unmute | Op::Deafen | Op::Undeafen | Op::Kick => schemas.takes::<Member>(),
        Op::Play => schemas.takes::<NewPlay>(),
        Op::BeginCampaign => schemas.takes::<NewCampaign>(),
        Op::AddCampaignNumbers => schemas.takes::<NewNumbers>(),
        Op::BindAxb => schemas.takes::<NewAxb>(),
        Op::ChangeAxb => schemas.takes::<ChangedAxb>(),
        Op::PutNumberScenario => schemas.takes::<NewNumberScenario>(),
        Op::OpenMenu => schemas.takes::<NewMenu>(),
        Op::TypeMenu => schemas.takes::<MenuInput>(),
        Op::CreateWebhook => schemas.takes::<NewWebhook>(),
        Op::ChangeWebhook => schemas.takes::<ChangedWebhook>(),
        Op::RotateSecret => schemas.takes::<NewSecret>(),
        _ => None,
    };
    let query = op.query().iter().map(|name| match (op, *name) {
        // The id of a session: below the largest number of 63 bits.
        (Op::ListMenus, "after") => {
            let schema = json!({ "type": "string", "pattern": "^[0-8][0-9]{18}$" });
            json!({ "name": "after", "in": "query", "required": false, "schema": schema })
        }
        (_, name) => parameter(name, "query"),
    });
    let query = query.collect();
    let headers = match op {
        op if op.costs() => vec![parameter("Idempotency-Key", "header")],
        Op::Events => vec![parameter("Last-Event-ID", "header")],
        _ => Vec::new(),
    };
    let optional_body = op == Op::RotateSecret;
    Shape { body, optional_body, status, answers, query, headers }
}

/// The description as a page: operations, problems, types. It asks no other host for anything.
#[must_use]
pub fn reference(version: &str) -> String {
    let described = openapi(version);
    let mut page = String::from(HEAD);
    let _ = write!(page, "<h1>Tandem /v1</h1><p>Version {}. ", escaped(version));
    page.push_str("The same for programs: <a href=\"/v1/openapi.json\">openapi.json</a>.</p>");
    page.push_str("<h2>Operations</h2>");
    for op in Op::ALL {
        let path = format!("/v1{}", op.path());
        let method = op.method();
        let told = &described["paths"][&path][method.to_ascii_lowercase()];
        let _ = write!(
            page,
            "<section id=\"{}\"><h3><code>{method} {}</code></h3><p>{}. Scope <code>{}</code>.</p>",
            op.word(),
            escaped(&path),
            escaped(op.summary()),
            op.scope()
        );
        for name in ["parameters", "requestBody", "responses"] {
            details(&mut page, name, &told[name]);
        }
        page.push_str("</section>");
    }
    page.push_str("<h2>Problems</h2><table><tr><th>Status<th>code<th>Title</tr>");
    for code in Code::ALL {
        let (status, word, title) = (code.status(), code.word(), escaped(code.title()));
        let _ =
            write!(page, "<tr id=\"{word}\"><td>{status}<td><code>{word}</code><td>{title}</tr>");
    }
    page.push_str("</table><h2>Types</h2>");
    for (name, schema) in described["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(page, "<section id=\"{0}\"><h3><code>{0}</code></h3>", escaped(name));
        if let Some(words) = schema["description"].as_str() {
            let _ = write!(page, "<p>{}</p>", escaped(words));
        }
        details(&mut page, "schema", schema);
        page.push_str("</section>");
    }
    page.push_str("</main></html>\n");
    page
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tandem /v1</title>\
    <meta name=\"viewport\" content=\"width=device-width\"><style>body{font:16px/1.5 system-ui,sans-serif;\
    margin:0;color:#222;background:#fff}main{max-width:60rem;margin:auto;padding:1rem}code,pre{font-family:\
    ui-monospace,monospace;font-size:.9em}pre{overflow:auto;background:#f4f4f4;padding:.5rem}section{\
    border-top:1px solid #ddd}td,th{text-align:left;padding:.2rem .8rem .2rem 0}:target{background:#ffd}\
    </style><main>";

fn details(page: &mut String, name: &str, value: &Value) {
    if value.is_null() || value.as_array().is_some_and(Vec::is_empty) {
        return;
    }
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let _ =
        write!(page, "<details><summary>{name}</summary><pre>{}</pre></details>", escaped(&text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All `$ref`s below a value.
    fn refs(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| refs(item, found)),
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| refs(field, found));
            }
            _ => {}
        }
    }

    #[test]
    fn every_operation_is_described_and_every_reference_leads_somewhere() {
        let described = openapi("0.1.0");
        let paths = described["paths"].as_object().unwrap();
        let count: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(count, Op::ALL.len());
        for op in Op::ALL {
            let told = &paths[&format!("/v1{}", op.path())][op.method().to_ascii_lowercase()];
            assert_eq!(
                (&told["operationId"], &told["security"][0]["key"][0]),
                (&json!(op.word()), &json!(op.scope().word()))
            );
            let named =
                told["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "path");
            assert_eq!(named.count(), op.path().matches('{').count(), "{op:?}");
            assert_eq!(told.get("requestBody").is_some(), op.takes_body(), "{op:?}");
            let both = told["responses"].get("200").zip(told["responses"].get("201"));
            assert_eq!(both.is_some(), *op == Op::BindAxb, "{op:?}");
        }
        let mut found = Vec::new();
        refs(&described, &mut found);
        assert!(found.len() > 30, "{found:?}");
        for place in &found {
            let pointer = place.strip_prefix('#').unwrap();
            assert!(described.pointer(pointer).is_some(), "{place}");
        }
        // What is read is as strict as it is described, and the steps of a scenario are there.
        let schemas = &described["components"]["schemas"];
        assert_eq!(schemas["NewCall"]["additionalProperties"], json!(false));
        assert_eq!(schemas["NewCall"]["required"], json!(["to"]));
        assert!(schemas["NewStep"]["oneOf"].as_array().is_some_and(|steps| steps.len() == 8));
    }

    #[test]
    fn the_page_names_every_problem_and_asks_no_other_host() {
        let page = reference("0.1.0");
        for code in Code::ALL {
            assert!(page.contains(&format!("id=\"{}\"", code.word())), "{code:?}");
        }
        for op in Op::ALL {
            assert!(page.contains(&format!("id=\"{}\"", op.word())), "{op:?}");
        }
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("@import"));
        assert_eq!(page.matches("href=").count(), 1);
    }
}
