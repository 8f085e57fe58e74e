//! What servers ask of the gateway: outputs, commands, the gateway itself, its apps.
//!
//! A request is a message below the request topic: `output/...`, `command/...`, `sys/...`, `app/...`. Its payload is a JSON
//! object with an `id` that answers carry. The answer "taken over" goes to `ack`, the outcome to `result/<kind>`; the
//! outcome is data like any other, and waits for the line if need be. A request with an `id` that was there before is
//! not carried out again: its outcome is repeated.

use crate::Hub;
use crate::hub::{Action, ActionError, Switches};
use crate::model::{Level, Value};
use crate::pipeline::record::Ready;
use serde_json::{Value as Json, json};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Request ids that are remembered with their outcome.
const REMEMBERED: usize = 1024;
/// The longest that log lines can be asked for at once, in seconds.
const LOG_SECS_MAX: i64 = 3600;

/// What can be done with apps from afar.
pub trait AppControl: Send + Sync + fmt::Debug {
    /// `list`, `start`, `stop`, `restart`, `conf`; the name of the app, and the configuration for the last one.
    ///
    /// # Errors
    /// A sentence.
    fn control(&self, verb: &str, app: &str, conf: &Json) -> Result<Json, String>;
}

/// Carries requests out.
#[derive(Debug)]
pub struct Downlink {
    hub: Arc<Hub>,
    apps: Option<Arc<dyn AppControl>>,
    seen: Mutex<VecDeque<Seen>>,
}

#[derive(Debug)]
struct Seen {
    key: String,
    /// `None` while it is being carried out.
    outcome: Option<(String, String)>,
}

/// A request.
#[derive(Clone, Debug)]
struct Request {
    uplink: Box<str>,
    results: Box<str>,
    id: Json,
    kind: Box<str>,
    path: Vec<Box<str>>,
    body: Json,
    limit: Duration,
}

impl Downlink {
    /// For these devices and apps.
    #[must_use]
    pub fn new(hub: Arc<Hub>, apps: Option<Arc<dyn AppControl>>) -> Self {
        Self {
            hub,
            apps,
            seen: Mutex::new(VecDeque::new()),
        }
    }

    /// Takes a request over; the rest happens in a task of its own.
    pub(crate) fn take(
        this: &Arc<Self>,
        uplink: &str,
        results: &str,
        path: &str,
        payload: &[u8],
        limit: Duration,
    ) {
        let mut levels = path.split('/').map(Box::from);
        let kind = levels.next().unwrap_or_default();
        let body = read_body(payload);
        let request = Request {
            uplink: uplink.into(),
            results: results.into(),
            id: body["id"].clone(),
            kind,
            path: levels.collect(),
            body,
            limit,
        };
        if this.is_repeated(&request) {
            return;
        }
        if !request.id.is_null() {
            this.answer(&request, "ack", &json!({"id": request.id, "ack": true}));
        }
        let this = Arc::clone(this);
        tokio::spawn(async move {
            let outcome = this.carry_out(&request).await;
            this.finish(&request, outcome);
        });
    }

    /// Whether the request was there before; then its outcome, if there is one, is repeated.
    fn is_repeated(&self, request: &Request) -> bool {
        if request.id.is_null() {
            return false;
        }
        let key = request.key();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.iter().find(|known| known.key == key) {
            if let Some((topic, payload)) = &known.outcome {
                self.hub.message(&Ready {
                    uplink: request.uplink.clone(),
                    topic: topic.as_str().into(),
                    payload: payload.as_str().into(),
                });
            }
            return true;
        }
        if seen.len() >= REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(Seen { key, outcome: None });
        false
    }

    fn finish(&self, request: &Request, outcome: Result<Json, ActionError>) {
        let (result, message, code, data) = match outcome {
            Ok(data) => (true, "done".to_owned(), Json::Null, data),
            Err(error) => (false, error.to_string(), error.word().into(), Json::Null),
        };
        let answer = json!({
            "id": request.id, "result": result, "message": message, "code": code, "data": data,
            "timestamp": self.hub.now_ms(),
        });
        let topic = format!("result/{}", request.kind);
        let payload = self.answer(request, &topic, &answer);
        let key = request.key();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.iter_mut().find(|known| known.key == key) {
            known.outcome = Some((format!("{}{topic}", request.results), payload));
        }
    }

    fn answer(&self, request: &Request, topic: &str, answer: &Json) -> String {
        let payload = answer.to_string();
        self.hub.message(&Ready {
            uplink: request.uplink.clone(),
            topic: format!("{}{topic}", request.results).into(),
            payload: payload.as_str().into(),
        });
        payload
    }

    async fn carry_out(&self, request: &Request) -> Result<Json, ActionError> {
        let hub = &self.hub;
        match &*request.kind {
            "output" => {
                let sn = request.name(0, &["device", "sn"])?;
                let output = request.name(1, &["output"])?;
                let value = Value::of_json(request.data("value"));
                if value == Value::Null {
                    return Err(bad("the request has no `value`"));
                }
                let prop = request.text("prop").unwrap_or("value").into();
                hub.act(
                    &sn,
                    Action::Output {
                        output,
                        prop,
                        value,
                    },
                    request.limit,
                )
                .await
            }
            "command" => {
                let sn = request.name(0, &["device", "sn"])?;
                let command = request.name(1, &["cmd", "command"])?;
                let param = request.data("param").clone();
                hub.act(&sn, Action::Command { command, param }, request.limit)
                    .await
            }
            "sys" => self.system(request),
            "app" => {
                let verb = request.name(0, &["action"])?;
                let app = request.name(1, &["app", "inst"]).unwrap_or_default();
                let apps = self
                    .apps
                    .as_ref()
                    .ok_or_else(|| bad("this gateway runs no apps"))?;
                apps.control(&verb, &app, request.data("conf"))
                    .map_err(|why| bad(&why))
            }
            _ => Err(bad("the request is none of output, command, sys and app")),
        }
    }

    fn system(&self, request: &Request) -> Result<Json, ActionError> {
        let hub = &self.hub;
        let verb = request.name(0, &["action"])?;
        match &*verb {
            "snapshot" => Ok(json!({"points": hub.snapshot(request.text("device"))})),
            "flush" => {
                hub.flush();
                Ok(Json::Null)
            }
            "query" => Ok(match request.text("device") {
                Some(sn) => {
                    json!({"device": hub.device(sn).map(|d| d.props.to_json()), "values": live(hub, sn)})
                }
                None => hub.device_list(),
            }),
            "enable" => self.switch(request),
            _ => Err(bad(
                "known are sys/snapshot, sys/flush, sys/query and sys/enable",
            )),
        }
    }

    /// `sys/enable`: `{"data": true, "stat": false, "event": 2, "log": 60}`; what is not named stays.
    fn switch(&self, request: &Request) -> Result<Json, ActionError> {
        let now = self.hub.now_ms();
        let mut is_known = false;
        self.hub.set_switches(|switches| {
            if let Some(flag) = request.data("data").as_bool() {
                switches.data = flag;
                is_known = true;
            }
            if let Some(flag) = request.data("stat").as_bool() {
                switches.stat = flag;
                is_known = true;
            }
            if let Some(level) = request.data("event").as_i64() {
                switches.event_level = Level::of_number(level);
                is_known = true;
            }
            if let Some(secs) = request.data("log").as_i64() {
                switches.log_until_ms = now + secs.clamp(0, LOG_SECS_MAX) * 1000;
                is_known = true;
            }
        });
        if !is_known {
            return Err(bad("the request names none of data, stat, event and log"));
        }
        let Switches {
            data,
            stat,
            event_level,
            log_until_ms,
        } = self.hub.switches();
        Ok(
            json!({"data": data, "stat": stat, "event": event_level.number(), "log_until": log_until_ms}),
        )
    }
}

fn live(hub: &Hub, sn: &str) -> Json {
    let row = |value: crate::hub::LiveValue| {
        json!([
            value.input,
            value.prop,
            value.sample.value.borrowed().to_json(),
            value.sample.source_ms,
            value.sample.quality.0
        ])
    };
    hub.live(sn).into_iter().map(row).collect()
}

fn bad(why: &str) -> ActionError {
    ActionError::Failed(why.into())
}

/// A payload that is no object is the value itself.
fn read_body(payload: &[u8]) -> Json {
    match serde_json::from_slice::<Json>(payload) {
        Ok(Json::Object(body)) => Json::Object(body),
        Ok(value) => json!({"value": value}),
        Err(_) => json!({"value": String::from_utf8_lossy(payload)}),
    }
}

impl Request {
    fn key(&self) -> String {
        format!("{}\n{}\n{}", self.uplink, self.kind, self.id)
    }

    /// A field of the body, or of its `data`.
    fn data(&self, name: &str) -> &Json {
        match &self.body[name] {
            Json::Null => &self.body["data"][name],
            found => found,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.data(name).as_str()
    }

    /// A name out of the topic, or else out of the body.
    fn name(&self, level: usize, fields: &[&str]) -> Result<Box<str>, ActionError> {
        if let Some(name) = self.path.get(level).filter(|name| !name.is_empty()) {
            return Ok(name.clone());
        }
        let found = fields.iter().find_map(|field| self.text(field));
        found.map(Box::from).ok_or_else(|| {
            let field = fields.first().copied().unwrap_or_default();
            bad(&format!(
                "the request names no `{field}`, neither in its topic nor in its payload"
            ))
        })
    }
}
