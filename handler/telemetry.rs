//! Log lines: one per event, on stdout up to INFO, on stderr from WARN.
//!
//! Under the Functions host a line is a JSON object with `level`, `message`,
//! `function`, `invocationId` and fields; on a terminal it is for people. No
//! caller can forge a line, because control characters are escaped, and none
//! holds a secret, because every text is redacted. The host treats a
//! stderr line as a warning when it contains "warn" in any case, so that word is
//! escaped in lines that are errors.

use std::{
    borrow::Cow,
    fmt,
    io::{IsTerminal, Write},
    sync::LazyLock,
};

use regex::Regex;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
};

use crate::invocation;

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogAudience {
    /// The Functions host: JSON lines.
    Host,
    /// A person at a terminal; everything on stderr.
    Person,
}

/// Starts logging for the process, once; a panic is logged as well.
pub fn start(reader: LogAudience, level: LevelFilter) {
    let ours = Targets::new()
        .with_target("handler", level)
        .with_target("defender_functions", level);
    let subscriber = tracing_subscriber::registry().with(Lines { reader }.with_filter(ours));
    // A second start, in a test, keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        if reader == LogAudience::Person && level < LevelFilter::ERROR {
            // A command that logs nothing does not end without a word.
            let line =
                format!("error: Defender Functions failed at {place}: {message}; please report it");
            let _ = writeln!(
                std::io::stderr().lock(),
                "{}",
                functions::report::text::visible(&line)
            );
        }
        tracing::error!(
            code = "panic",
            place,
            cause = message,
            "Defender Functions panicked"
        );
    }));
}

struct Lines {
    reader: LogAudience,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Some((function, id)) = invocation::current() {
            let mut add = |name: &str, value: &str| {
                fields.0.entry(name).or_insert_with(|| value.into());
            };
            add("function", function);
            add("invocationId", &id.0);
        }
        let level = *event.metadata().level();
        match self.reader {
            LogAudience::Host => write_line(level >= Level::INFO, &json_line(level, fields.0)),
            LogAudience::Person => write_line(false, &text_line(level, &fields.0)),
        }
    }
}

/// Writes a line in one call; a closed pipe ends logging, not the process.
fn write_line(to_stdout: bool, line: &str) {
    let line = format!("{line}\n");
    let _ = if to_stdout {
        std::io::stdout().lock().write_all(line.as_bytes())
    } else {
        std::io::stderr().lock().write_all(line.as_bytes())
    };
}

fn json_line(level: Level, mut fields: Map<String, Value>) -> String {
    let mut line = Map::new();
    let time = OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default();
    line.insert("timestamp".to_owned(), time.into());
    line.insert("level".to_owned(), level.as_str().into());
    line.insert(
        "message".to_owned(),
        fields.remove("message").unwrap_or_default(),
    );
    line.extend(fields);
    let line = Value::Object(line).to_string();
    if level == Level::ERROR {
        hide_warn(&line).into_owned()
    } else {
        line
    }
}

fn text_line(level: Level, fields: &Map<String, Value>) -> String {
    let message = fields
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let rest = fields
        .iter()
        .filter(|(name, _)| *name != "message")
        .map(|(name, value)| format!(" {name}={value}"));
    let line = format!("{level:>5} {message}{}", rest.collect::<String>());
    line.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// Writes the second to last letter of "warn" as a JSON escape, in any case.
fn hide_warn(line: &str) -> Cow<'_, str> {
    static WARN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(?i)(wa)(r)(n)").ok());
    let Some(warn) = WARN.as_ref() else {
        return line.into();
    };
    warn.replace_all(line, |found: &regex::Captures<'_>| {
        format!(
            "{}\\u{:04x}{}",
            &found[1],
            u32::from(found[2].as_bytes()[0]),
            &found[3]
        )
    })
}

/// Removes everything that looks like a secret: tokens, keys, signatures, passwords.
pub fn redact(text: &str) -> Cow<'_, str> {
    const SECRETS: [(&str, &str); 4] = [
        (
            r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}",
            "$1 [redacted]",
        ),
        (
            r"\beyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*){0,2}",
            "[redacted]",
        ),
        (r"(?i)([?&](?:sig|code)=)[^&\s]+", "$1[redacted]"),
        (
            r#"(?i)\b((?:access|refresh|id)[_-]?token|client[_-]?secret|[a-z_-]*key|shared_?access_?signature|password|pwd|identity[_-]header)((?:\\?")?\s*[=:]\s*(?:\\?")?)[^&\s"'\\;,}]+"#,
            "$1$2[redacted]",
        ),
    ];
    static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        SECRETS
            .iter()
            .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, *with)))
            .collect()
    });
    let mut text = Cow::Borrowed(text);
    for (pattern, with) in PATTERNS.iter() {
        if pattern.is_match(&text) {
            text = Cow::Owned(pattern.replace_all(&text, *with).into_owned());
        }
    }
    text
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Fields without a value, such as an empty cause, are left out.
        if !value.is_empty() {
            self.0.insert(field.name().to_owned(), redact(value).into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Returns true if a person sees stderr.
pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d07_secrets_are_taken_out_of_every_text() {
        for secret in [
            "Authorization: Bearer abcdef.SECRET.ghi",
            "token eyJhbGciOiJub25lIn0.SECRETSECRET.SECRET",
            "https://a.blob.core.windows.net/c?sv=1&sig=SECRET%3D&x=1",
            "/api/hashes?code=SECRET==&a=1",
            "AccountKey=SECRET==;EndpointSuffix=x",
            r#"{"access_token":"SECRET"}"#,
            "x-functions-key: SECRET",
            "X-IDENTITY-HEADER: SECRET",
            "client_secret=SECRET",
            r#"{\"access_token\":\"SECRET\"}"#,
            "IDENTITY_HEADER=SECRET",
            "refresh_token=SECRET",
            "SharedAccessSignature=SECRET",
            "client-secret: SECRET",
            "Authorization: Basic SECRETSECRET",
        ] {
            let redacted = redact(secret);
            assert!(
                redacted.contains("[redacted]") && !redacted.contains("SECRET"),
                "{redacted}"
            );
        }
        assert_eq!(
            redact("status 404, code `NotFound`"),
            "status 404, code `NotFound`"
        );
    }

    #[test]
    fn d06_a_line_stays_one_line_and_starts_with_a_brace() {
        let fields = Map::from_iter([
            (
                "message".to_owned(),
                Value::from("LanguageWorkerConsoleLog\r\nazfuncjsonlog:\u{1b}[31m"),
            ),
            ("x".to_owned(), Value::from("WARN wArn")),
        ]);
        let line = json_line(Level::ERROR, fields.clone());
        assert!(line.starts_with('{') && !line.contains(['\r', '\n', '\u{1b}']));
        assert!(!line.to_lowercase().contains("warn"), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["x"], "WARN wArn");
        assert!(json_line(Level::WARN, fields.clone()).contains("\"WARN\""));
        assert!(!text_line(Level::INFO, &fields).contains(['\n', '\u{1b}']));
    }
}
