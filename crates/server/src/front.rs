//! A request from its head to its answer: the checks in AWS's order, then the operation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{EXPECT, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Body;
use millstream_api::kinesis::{Operation, Output, Service, TARGET_PREFIX};
use millstream_api::{Context, Error, ErrorCode, RequestId};
use millstream_env::Env;

use crate::admin::{self, Endpoint, HealthSource};
use crate::answer::{Answer, Reply};
use crate::auth::{self, Defaults};
use crate::body::{self, BodyError, BodyRules};
use crate::budget::{Budget, Flow, NoRoom, Permit};
use crate::codec::{EVENT_STREAM, Format, RecordsPage};
use crate::config::ServerConfig;
use crate::connection::Activity;
use crate::controls::{self, ControlSource, Kind};
use crate::crowd::Crowd;
use crate::fault::{Dialect, Fault};
use crate::guard::{self, Guard};
use crate::ids::Ids;
use crate::metrics::Meters;
use crate::subscription::{Subscription, Terms};

static X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// What every connection shares.
pub(crate) struct Front {
    env: Env,
    service: Arc<dyn Service>,
    health: HealthSource,
    /// Set before the first connection, if at all.
    pub(crate) test_controls: OnceLock<Arc<dyn ControlSource>>,
    /// The same.
    pub(crate) snapshots: OnceLock<Arc<dyn ControlSource>>,
    guard: Guard,
    defaults: Defaults,
    pub(crate) budget: Arc<Budget>,
    terms: Arc<Terms>,
    rules: BodyRules,
    large_answer: u64,
    ids: Ids,
    pub(crate) meters: Meters,
    pub(crate) draining: AtomicBool,
    pub(crate) crowd: Arc<Crowd>,
    /// Connections that were cut with requests in flight.
    pub(crate) cut: AtomicUsize,
}

/// What the log line and the metrics say of a request.
#[derive(Default)]
struct Seen {
    operation: Option<Operation>,
    received: usize,
}

/// What `X-Amz-Target` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// No service or no operation.
    Incomplete,
    /// Another service, or no operation of this one.
    Unknown,
    Known(Operation),
}

impl Target {
    pub(crate) fn of(headers: &HeaderMap) -> Target {
        let value = headers.get(&X_AMZ_TARGET).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match value.split_once('.') {
            Some((service, operation)) if !service.is_empty() && !operation.is_empty() => {
                let operation = if service == TARGET_PREFIX { Operation::from_name(operation) } else { None };
                operation.map_or(Target::Unknown, Target::Known)
            }
            _ => Target::Incomplete,
        }
    }
}

impl Front {
    pub(crate) fn new(
        config: &ServerConfig,
        env: Env,
        service: Arc<dyn Service>,
        health: HealthSource,
        guard: Guard,
    ) -> Front {
        let meters = Meters::new();
        Front {
            ids: Ids::new(&*env.random),
            service,
            health,
            test_controls: OnceLock::new(),
            snapshots: OnceLock::new(),
            guard,
            defaults: Defaults {
                account: Arc::clone(&config.default_account),
                region: Arc::clone(&config.default_region),
            },
            budget: Budget::new(config.memory as u64, config.memory_wait, Arc::clone(&env.clock)),
            terms: Terms::new(config, &env.clock, &meters),
            rules: BodyRules { max: config.max_body, pace: config.pace, times: 1 },
            large_answer: config.large_answer as u64,
            env,
            meters,
            draining: AtomicBool::new(false),
            crowd: Arc::default(),
            cut: AtomicUsize::new(0),
        }
    }

    /// Answers one request of a connection.
    pub(crate) async fn answer<B>(&self, request: Request<B>, connection: &Arc<Activity>) -> Response<Answer>
    where
        B: Body<Data = Bytes> + Send,
    {
        let open = connection.begin();
        let started = self.env.clock.monotonic();
        let (head, body) = request.into_parts();
        let request_id = self.ids.request_id();
        let (mut permit, mut seen, mut origin) = (None, Seen::default(), None);
        let mut is_preflight = false;
        let result = match self.guard.check(&head, connection.local(), connection.known()) {
            Err(foreign) => Err(Fault::Foreign { foreign, dialect: Dialect::of(&head.headers) }),
            Ok(allowed) => {
                origin = allowed;
                is_preflight = origin.is_some() && head.method == Method::OPTIONS;
                if is_preflight {
                    Ok(Reply::new(StatusCode::OK, None))
                } else if let Some(endpoint) = admin::endpoint(&head) {
                    Ok(self.administer(endpoint, &head, body, connection, &mut permit).await)
                } else {
                    let answered = self.call(&head, body, request_id, connection, &mut permit, &mut seen).await;
                    let took = self.env.clock.monotonic().saturating_sub(started);
                    self.meters.answered(seen.operation, answered.as_ref().err().map(Fault::code), took);
                    answered
                }
            }
        };
        let reply = match result {
            Ok(reply) => reply,
            Err(fault) => {
                let reply = fault.reply();
                self.report(&fault, reply.status, request_id, seen.operation);
                if let Some(permit) = &mut permit {
                    permit.hold(reply.body.len() as u64);
                }
                reply
            }
        };
        self.meters.moved(seen.received, reply.len());
        let mut response = reply.into_response(permit, open);
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_bytes(&request_id.text()) {
            headers.insert(REQUEST_ID, id);
        }
        match origin {
            Some(origin) if is_preflight => {
                guard::preflight(&head.headers, headers, origin);
                return response;
            }
            Some(origin) => guard::expose(headers, origin),
            None => {}
        }
        if let Ok(id) = HeaderValue::from_bytes(&self.ids.extended_id()) {
            headers.insert(EXTENDED_ID, id);
        }
        response
    }

    /// Answers an operator or a test.
    async fn administer<B>(
        &self,
        endpoint: Endpoint,
        head: &Parts,
        body: B,
        connection: &Activity,
        permit: &mut Option<Permit>,
    ) -> Reply
    where
        B: Body<Data = Bytes> + Send,
    {
        if let Endpoint::Control(kind) = endpoint {
            let permit = permit.insert(self.budget.permit(Arc::clone(&self.defaults.account), Flow::In));
            let controls = match kind {
                Kind::Tests => self.test_controls.get(),
                Kind::Snapshots => self.snapshots.get(),
            };
            let controls = controls.map(|controls| &**controls);
            return controls::answer(kind, controls, head, body, self.rules.pace, connection, permit).await;
        }
        if endpoint == Endpoint::Metrics {
            self.meters.held(self.budget.used(), self.terms.used());
        }
        admin::answer(endpoint, &head.method, &self.health, self.draining.load(Ordering::Relaxed))
    }

    /// The checks that AWS makes of every request, in its order, and the call of the operation.
    async fn call<B>(
        &self,
        head: &Parts,
        body: B,
        request_id: RequestId,
        connection: &Arc<Activity>,
        permit: &mut Option<Permit>,
        seen: &mut Seen,
    ) -> Result<Reply, Fault>
    where
        B: Body<Data = Bytes> + Send,
    {
        let dialect = Dialect::of(&head.headers);
        let is_post = head.method == Method::POST;
        // Nothing is read of a body that is too large if the client waits for a word before it sends it.
        if body.size_hint().lower() > self.rules.max as u64 && (!is_post || head.headers.contains_key(EXPECT)) {
            return Err(Fault::Body { error: BodyError::TooLarge, dialect });
        }
        if !is_post {
            return Err(undetermined());
        }
        let caller = auth::caller(head, &self.defaults, connection.known());
        let account = caller.as_ref().map_or(&self.defaults.account, |caller| &caller.account);
        let target = Target::of(&head.headers);
        let flow = if target == Target::Known(Operation::GetRecords) { Flow::Out } else { Flow::In };
        let permit = permit.insert(self.budget.permit(Arc::clone(account), flow));
        // What is to be written is made of a put's body while that is still held, in buffers that grow by doubling.
        let is_put = matches!(target, Target::Known(Operation::PutRecord | Operation::PutRecords));
        let rules = BodyRules { times: if is_put { 3 } else { 1 }, ..self.rules };
        let body = body::read(body, rules, connection, permit).await.map_err(|error| {
            if error == BodyError::Broken {
                connection.broken_off();
            }
            Fault::Body { error, dialect }
        })?;
        seen.received = body.len();
        if let Target::Known(operation) = target {
            seen.operation = Some(operation);
        }
        if body.is_empty() {
            let json = Dialect::Format(Format::Json);
            let dialect = if dialect == json { json } else { Dialect::Format(Format::Cbor) };
            return Err(Fault::bare(
                match target {
                    Target::Known(_) => ErrorCode::SerializationException,
                    Target::Incomplete | Target::Unknown => ErrorCode::UnknownOperationException,
                },
                dialect,
            ));
        }
        let fail = |error| Fault::new(error, dialect);
        match (dialect, target) {
            (Dialect::Xml, Target::Incomplete) => Err(undetermined()),
            (Dialect::Xml, Target::Known(_)) => Err(match caller {
                Err(error) => fail(error),
                Ok(_) => Fault::bare(ErrorCode::UnknownOperationException, dialect),
            }),
            (Dialect::Xml, Target::Unknown) => Err(Fault::bare(ErrorCode::UnknownOperationException, dialect)),
            (Dialect::PlainJson, _) => {
                Format::Json.check(&body).map_err(fail)?;
                Err(Fault::bare(ErrorCode::UnknownOperationException, dialect))
            }
            (Dialect::Format(format), Target::Incomplete | Target::Unknown) => {
                format.check(&body).map_err(fail)?;
                Err(Fault::bare(ErrorCode::UnknownOperationException, dialect))
            }
            (Dialect::Format(format), Target::Known(operation)) => {
                let caller = match caller {
                    Ok(caller) => caller,
                    Err(error) => {
                        format.check(&body).map_err(fail)?;
                        return Err(fail(error));
                    }
                };
                let context = Context {
                    account: caller.account,
                    region: caller.region,
                    access_key: caller.access_key,
                    request_id,
                    hang_up: connection.hang_up().clone(),
                };
                let output = self.operate(format, operation, &context, &body, permit).await;
                connection.heed_hang_up().await;
                let reply = self.reply(format, output?, &context.account, connection);
                drop(body);
                permit.hold(reply.memory() as u64);
                Ok(reply)
            }
        }
    }

    async fn operate(
        &self,
        format: Format,
        operation: Operation,
        context: &Context,
        body: &[u8],
        permit: &mut Permit,
    ) -> Result<Output, Fault> {
        let dialect = Dialect::Format(format);
        let fail = |error| Fault::new(error, dialect);
        let input = format.decode(operation, body).map_err(fail)?;
        if operation == Operation::GetRecords {
            permit.grow(self.large_answer).await.map_err(|NoRoom| Fault::Busy { dialect })?;
        }
        self.service.call(context, input).await.map_err(fail)
    }

    fn reply(&self, format: Format, output: Output, account: &Arc<str>, connection: &Arc<Activity>) -> Reply {
        match output {
            Output::SubscribeToShard(output) => {
                let mut reply = Reply::new(StatusCode::OK, Some(EVENT_STREAM));
                let (terms, connection) = (Arc::clone(&self.terms), Arc::clone(connection));
                reply.events =
                    Some(Box::new(Subscription::new(format, output, Arc::clone(account), terms, connection)));
                reply
            }
            Output::GetRecords(output) => {
                let mut reply = Reply::new(StatusCode::OK, Some(format.content_type()));
                reply.page = Some(Box::new(RecordsPage::new(format, output)));
                reply
            }
            output => {
                let mut reply = Reply::new(StatusCode::OK, Some(format.content_type()));
                reply.body = format.encode(&output);
                reply
            }
        }
    }

    fn report(&self, fault: &Fault, status: StatusCode, request_id: RequestId, operation: Option<Operation>) {
        if let Some(reason) = fault.refusal() {
            self.meters.refused(reason);
        }
        let (status, code) = (status.as_u16(), fault.code());
        let operation = operation.map_or("-", Operation::name);
        // What is said of a refusal is only put together if somebody hears it.
        if status >= 500 {
            tracing::warn!(%request_id, operation, status, code, detail = fault.detail(), "request failed");
        } else {
            tracing::info!(%request_id, operation, status, code, detail = fault.detail(), "request refused");
        }
    }
}

/// AWS can't tell what is being asked for.
fn undetermined() -> Fault {
    let text = "Unable to determine service/operation name to be authorized";
    Fault::new(Error::new(ErrorCode::AccessDeniedException, text), Dialect::Xml)
}
