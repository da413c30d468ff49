//! Statistics as JSON (management manual, sections 9.3 `show stat json` and `show schema json`).

use serde_json::json;

use super::Subject;
use super::columns::{self, TABLE};
use super::field::{Tags, Value};

/// One object: an array of its fields.
pub fn object(subject: &Subject<'_>, out: &mut Vec<u8>) {
    let kind = subject.kind();
    let head = format!(
        "{{\"objType\":\"{}\",\"proxyId\":{},\"id\":{},",
        kind.name(),
        subject.proxy.id,
        subject.number()
    );
    out.push(b'[');
    let mut is_first = true;
    for (position, column) in TABLE.iter().enumerate() {
        let value = column.value(subject);
        if value.is_empty() {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        out.extend_from_slice(head.as_bytes());
        field(position, column.name, &value, columns::tags(column, kind), out);
    }
    out.push(b']');
}

/// Position, name, tags and value: the part that `show info json` shares, up to the closing brace.
pub fn field(position: usize, name: &str, value: &Value<'_>, tags: Tags, out: &mut Vec<u8>) {
    let (origin, nature, scope) = tags.words();
    let text = format!(
        "\"field\":{{\"pos\":{position},\"name\":\"{name}\"}},\"processNum\":1,\
         \"tags\":{{\"origin\":\"{origin}\",\"nature\":\"{nature}\",\"scope\":\"{scope}\"}},\
         \"value\":{{\"type\":\"{}\",\"value\":",
        value.type_name()
    );
    out.extend_from_slice(text.as_bytes());
    match value {
        Value::Text(text) => {
            let quoted = serde_json::Value::from(&**text).to_string();
            out.extend_from_slice(quoted.as_bytes());
        }
        // Numbers past 2^53 lose digits in readers that keep doubles (RFC 8259 section 6).
        Value::U64(number) => Value::U64((*number).min(INTEGER_MAX)).write_plain(out),
        number => number.write_plain(out),
    }
    out.extend_from_slice(b"}}");
}

/// The highest integer that every JSON reader keeps exactly.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The schema of both dumps (JSON Schema, draft 4).
pub fn schema() -> String {
    let reference = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
    let item = |objects: serde_json::Value, required: serde_json::Value| json!({ "title": "InfoItem", "type": "object", "properties": objects, "required": required });
    let natural = |minimum: u32| json!({ "type": "integer", "minimum": minimum });
    let integer =
        |minimum: i64, maximum: i64| json!({ "type": "integer", "minimum": minimum, "maximum": maximum });
    let typed = |name: &str, value: serde_json::Value| {
        json!({ "title": name, "type": "object",
                "properties": { "type": { "type": "string", "enum": [name] }, "value": value },
                "required": ["type", "value"] })
    };
    let safe = INTEGER_MAX as i64;
    let info = item(
        json!({ "field": reference("field"), "processNum": reference("processNum"),
                "tags": reference("tags"), "value": reference("typedValue") }),
        json!(["field", "processNum", "tags", "value"]),
    );
    let stat = item(
        json!({ "objType": { "enum": ["Frontend", "Backend", "Listener", "Server", "Unknown"] },
                "proxyId": natural(0), "id": natural(0), "field": reference("field"),
                "processNum": reference("processNum"), "tags": reference("tags"),
                "value": reference("typedValue") }),
        json!(["objType", "proxyId", "id", "field", "processNum", "tags", "value"]),
    );
    let schema = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "oneOf": [
            { "title": "Info", "type": "array", "items": info },
            { "title": "Stat", "type": "array", "items": { "type": "array", "items": stat } },
            { "title": "Error", "type": "object",
              "properties": { "errorStr": { "type": "string" } }, "required": ["errorStr"] }
        ],
        "definitions": {
            "field": { "type": "object",
                       "properties": { "pos": natural(0), "name": { "type": "string" } },
                       "required": ["pos", "name"] },
            "processNum": natural(1),
            "tags": { "type": "object", "properties": {
                "origin": { "type": "string", "enum": ["Metric", "Status", "Key", "Config", "Product", "Unknown"] },
                "nature": { "type": "string", "enum": ["Gauge", "Limit", "Min", "Max", "Rate", "Counter",
                            "Duration", "Age", "Time", "Name", "Output", "Avg", "Unknown"] },
                "scope": { "type": "string", "enum": ["Process", "Service", "System", "Cluster", "Unknown"] } },
                "required": ["origin", "nature", "scope"] },
            "typedValue": { "oneOf": [
                typed("s32", integer(i64::from(i32::MIN), i64::from(i32::MAX))),
                typed("s64", integer(-safe, safe)),
                typed("u32", integer(0, i64::from(u32::MAX))),
                typed("u64", integer(0, safe)),
                typed("flt", json!({ "type": "number" })),
                typed("str", json!({ "type": "string" })),
            ] }
        }
    });
    format!("{schema}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_valid_json() {
        let mut out = b"{".to_vec();
        field(17, "status", &Value::text("a \"b\"\n"), Tags("SGP"), &mut out);
        let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(parsed["value"]["value"], "a \"b\"\n");
        assert_eq!(parsed["tags"]["origin"], "Status");
        assert_eq!(parsed["field"]["pos"], 17);
    }

    #[test]
    fn schema_is_valid_json() {
        assert!(serde_json::from_str::<serde_json::Value>(&schema()).unwrap()["oneOf"].is_array());
    }
}
