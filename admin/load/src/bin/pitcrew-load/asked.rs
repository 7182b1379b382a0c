//! What a command line asks for: a plan and where it goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pitcrew_load::{
    AnyTarget, CapacityPlan, Closed, HttpPlan, HttpVersion, Load, Open, Plan, PostgresMode,
    PostgresPlan, PostgresTarget, Spacing, Stage, Target, WebSocketMessage, WebSocketPlan,
};

use super::arguments::Arguments;
use super::work::Work;

/// A WebSocket's URL as that of its handshake (RFC 6455, 3).
fn in_http(url: &str) -> String {
    match url.strip_prefix("ws") {
        Some(rest) if rest.starts_with("://") || rest.starts_with("s://") => format!("http{rest}"),
        _ => url.to_owned(),
    }
}

impl Arguments {
    /// Where load goes, and what is sent.
    pub(crate) fn work(&self, file: Option<Plan>) -> Result<Work, String> {
        let mut plan = match file {
            Some(plan) => plan,
            None => self.of_options()?,
        };
        if let Some(part) = self.part {
            plan = plan.part(part);
        }
        plan.thresholds
            .splice(0..0, self.thresholds.iter().cloned());
        plan.usual_thresholds |= self.usual_thresholds;
        plan.check().map_err(|error| error.to_string())?;
        if self.capacity && plan.all_thresholds().is_empty() {
            return Err(
                "--capacity looks for the highest rate at which thresholds hold: say -t or --usual-thresholds"
                    .to_owned(),
            );
        }
        let scenarios = if plan.scenarios.is_empty() {
            std::slice::from_ref(&plan)
        } else {
            &plan.scenarios
        };
        let targets = scenarios.iter().map(|one| self.target_of(one));
        let targets = targets.collect::<Result<_, _>>()?;
        Ok(Work { plan, targets })
    }

    fn target_of(&self, plan: &Plan) -> Result<AnyTarget, String> {
        if plan.postgres.is_some() {
            return self.allowed_postgres(&plan.target).map(AnyTarget::from);
        }
        self.allowed(&in_http(&plan.target)).map(AnyTarget::from)
    }

    fn of_options(&self) -> Result<Plan, String> {
        let url = self.url.as_deref().unwrap_or_default();
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_postgres = matches!(scheme, "postgres" | "postgresql");
        let is_websocket = matches!(scheme, "ws" | "wss");
        for (option, of, is_said, is_right) in [
            ("--sql", "postgres://", self.sql.is_some(), is_postgres),
            ("--mode", "postgres://", self.mode.is_some(), is_postgres),
            ("--depth", "postgres://", self.depth.is_some(), is_postgres),
            (
                "--allow-writes",
                "postgres://",
                self.allow_writes,
                is_postgres,
            ),
            (
                "--parameter",
                "postgres://",
                !self.parameter.is_empty(),
                is_postgres,
            ),
            ("--message", "ws://", self.message.is_some(), is_websocket),
            ("--idle", "ws://", self.idle.is_some(), is_websocket),
            ("--hold", "ws://", self.hold.is_some(), is_websocket),
            (
                "--no-keep-alive",
                "http:// and postgres://",
                self.no_keep_alive,
                !is_websocket,
            ),
            (
                "--http2",
                "http://",
                self.http2,
                !is_postgres && !is_websocket,
            ),
            (
                "--method and --body",
                "http://",
                self.method.is_some() || self.body.is_some(),
                !is_postgres && !is_websocket,
            ),
            (
                "--header",
                "http:// and ws://",
                !self.header.is_empty(),
                !is_postgres,
            ),
        ] {
            if is_said && !is_right {
                return Err(format!(
                    "{option} is for {of}, and this is {scheme}://: leave it out"
                ));
            }
        }
        let load = self.load();
        if is_postgres {
            let plan = PostgresPlan {
                sql: self.sql.clone().unwrap_or_else(|| "SELECT 1".to_owned()),
                mode: self.mode.map(PostgresMode::from).unwrap_or_default(),
                depth: self.depth,
                parameters: self.parameter.iter().cloned().map(Some).collect(),
                allow_writes: self.allow_writes,
                keep_alive: !self.no_keep_alive,
                load,
                ..PostgresPlan::default()
            };
            return Ok(Plan::postgres(url, plan));
        }
        let spelled = in_http(url);
        let uri: http::Uri = spelled
            .parse()
            .map_err(|error| format!("`{url}` is no URL: {error}"))?;
        let Some(authority) = uri.authority() else {
            return Err(format!("`{url}` is no URL: write http://HOST[:PORT]/PATH"));
        };
        let scheme = uri.scheme_str().unwrap_or_default();
        let target = format!("{scheme}://{authority}");
        let path = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        let mut headers = BTreeMap::new();
        for header in &self.header {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| format!("`{header}` is no header: write `name: value`"))?;
            let name = name.trim().to_ascii_lowercase();
            if headers.contains_key(&name) {
                return Err(format!(
                    "the header `{name}` is given twice: write its values as one, `{name}: a, b`"
                ));
            }
            headers.insert(name, value.trim().to_owned());
        }
        if is_websocket {
            let usual = WebSocketPlan::default();
            let message = self.message.clone().map(WebSocketMessage::Text);
            let plan = WebSocketPlan {
                path,
                headers,
                message: message.unwrap_or(usual.message),
                hold_s: self.hold,
                idle: self.idle.unwrap_or(usual.idle),
                load,
                ..WebSocketPlan::default()
            };
            return Ok(Plan::websocket(target, plan));
        }
        let plan = HttpPlan {
            path,
            method: self.method.clone().unwrap_or_else(|| "GET".to_owned()),
            headers,
            body: self.body.clone(),
            version: if self.http2 {
                HttpVersion::Http2
            } else {
                HttpVersion::Http1
            },
            streams: self.streams,
            keep_alive: !self.no_keep_alive,
            load,
            ..HttpPlan::default()
        };
        Ok(Plan::http(target, plan))
    }

    fn load(&self) -> Load {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked with the plan"
        )]
        let timeout_ms = (self.timeout * 1e3) as u64;
        let open = self.open();
        Load {
            connections: self.connections,
            duration_s: self.duration.filter(|_| open.is_none()),
            requests: self.requests,
            ramp_up_s: self.ramp_up,
            closed: (!self.users.is_empty()).then(|| Closed {
                stages: self.users.clone(),
            }),
            open,
            part: None,
            timeout_ms,
        }
    }

    fn open(&self) -> Option<Open> {
        let mut stages = self.stage.clone();
        if let Some(rate_per_s) = self.rate {
            stages.push(Stage {
                duration_s: self.duration.unwrap_or(10.0),
                rate_per_s,
                to_rate_per_s: None,
            });
        }
        (!stages.is_empty()).then(|| Open {
            stages,
            spacing: self.spacing(),
            seed: self.seed.unwrap_or(0),
        })
    }

    /// A target on this machine, or one that the command line names once more.
    fn allowed(&self, text: &str) -> Result<Target, String> {
        let target = Target::resolve(text).map_err(|error| error.to_string())?;
        let authority = target.authority();
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        let host = if authority.ends_with(']') {
            authority
        } else {
            host
        };
        let whole = format!("{host}:{}", target.address().port());
        let is_allowed = self.is_allowed(authority) || self.is_allowed(&whole);
        if !target.address().ip().is_loopback() && !is_allowed {
            return Err(format!(
                "{authority} ({}) is not on this machine: where you may load it, say --allow-target {whole}",
                target.address().ip()
            ));
        }
        Ok(target)
    }

    fn allowed_postgres(&self, text: &str) -> Result<PostgresTarget, String> {
        let target = PostgresTarget::anywhere(text).map_err(|error| error.to_string())?;
        let authority = target.authority();
        if !target.is_local() && !self.is_allowed(&authority) {
            return Err(format!(
                "{authority} is not on this machine: where you may load it, say --allow-target {authority}"
            ));
        }
        Ok(target)
    }

    fn is_allowed(&self, authority: &str) -> bool {
        let mut allowed = self.allow_target.iter();
        allowed.any(|allowed| allowed.eq_ignore_ascii_case(authority))
    }

    /// Files that are read.
    pub(crate) fn read(&self) -> impl Iterator<Item = &PathBuf> {
        self.plan.iter().chain(&self.compare)
    }

    pub(crate) fn capacity_plan(&self) -> Result<CapacityPlan, String> {
        let usual = CapacityPlan::default();
        let plan = CapacityPlan {
            from_per_s: self.from.unwrap_or(usual.from_per_s),
            to_per_s: self.to.unwrap_or(usual.to_per_s),
            resolution_percent: self.resolution.unwrap_or(usual.resolution_percent),
            ..usual
        };
        plan.check().map_err(|(field, wants)| {
            let option = match field {
                "from_per_s" => "--from",
                "to_per_s" => "--to",
                _ => "--resolution",
            };
            format!("{option} {wants}")
        })?;
        Ok(plan)
    }

    /// Seconds of a probe of the capacity search.
    pub(crate) fn probe_s(&self) -> f64 {
        self.duration.unwrap_or(5.0)
    }

    pub(crate) fn spacing(&self) -> Spacing {
        if self.poisson {
            Spacing::Poisson
        } else {
            Spacing::Even
        }
    }
}
