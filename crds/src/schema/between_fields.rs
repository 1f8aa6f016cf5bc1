//! Rules between the fields of one object, a function for each type that has some: what `validate()` has, in CEL.

use schemars::Schema;

use super::rules::{millis_of, rule, rule_at};

pub(crate) fn queue_worker(schema: &mut Schema) {
    let message = "is needed: give one of http, process, command (or allowCommands, to run only commands)";
    rule_at(".handler", "has(self.handler) || self.allowCommands", message)(schema);
    let allowed = "!has(self.classes) || self.allowCommands || !self.classes.exists(class, class == 'Command')";
    let message = "has Command, a text for the shell: say allowCommands: true to run them";
    rule_at(".classes", allowed, message)(schema);
    let only_commands = "!has(self.classes) || has(self.handler) || self.classes.all(class, class == 'Command')";
    rule_at(".classes", only_commands, "has classes that need a handler: give one of http, process, command")(schema);
}

pub(crate) fn recurring_task(schema: &mut Schema) {
    rule_at(".job", "has(self.job) || has(self.command)", "is needed: give a job or a command")(schema);
    rule_at(".command", "!(has(self.job) && has(self.command))", "stands beside job: keep one of them")(schema);
}

pub(crate) fn cron_schedule(schema: &mut Schema) {
    rule_at(".cron", "has(self.cron) || has(self.interval)", "is needed: give a cron or an interval")(schema);
    rule_at(".interval", "!(has(self.cron) && has(self.interval))", "stands beside cron: keep one of them")(schema);
}

pub(crate) fn autoscaling(schema: &mut Schema) {
    rule_at(".minReplicas", "self.minReplicas <= self.maxReplicas", "must not be more than maxReplicas")(schema);
}

pub(crate) fn handler(schema: &mut Schema) {
    let one = "[has(self.http), has(self.process), has(self.command)].filter(given, given).size() == 1";
    rule(one, "must have exactly one of http, process, command")(schema);
}

pub(crate) fn http_handler(schema: &mut Schema) {
    let https = "!has(self.caFile) || self.url.startsWith('https:')";
    rule_at(".caFile", https, "has no effect without https: say https:// in url, or leave it out")(schema);
}

pub(crate) fn http_callback(schema: &mut Schema) {
    let one_address = "has(self.url) || !['0.0.0.0:', '[::]:'].exists(every, self.listen.startsWith(every))";
    let message =
        "is needed where listen is every address: say which one the handler calls, as in http://10.1.2.3:7433";
    rule_at(".url", one_address, message)(schema);
}

pub(crate) fn class_default(schema: &mut Schema) {
    let message = "says nothing about the class: give a queue, a priority, attempts or several of them";
    rule("has(self.queue) || has(self.priority) || has(self.attempts)", message)(schema);
}

pub(crate) fn concurrency_limit(schema: &mut Schema) {
    let no_slash = "has(self.group) ? !self.group.contains('/') : !self.class.contains('/')";
    rule_at(".group", no_slash, "must have no `/`, and be given where the class has one")(schema);
}

/// Classes that share a group are one limit.
pub(crate) fn concurrency_limits(schema: &mut Schema) {
    let group = |limit: &str| format!("(has({limit}.group) ? {limit}.group : {limit}.class)");
    let same = format!(
        "self.all(a, self.all(b, a.to == b.to && a.onConflict == b.onConflict || {} != {}))",
        group("a"),
        group("b")
    );
    rule(&same, "has a group with different numbers: give its classes the same to and onConflict")(schema);
}

pub(crate) fn processes(schema: &mut Schema) {
    let three = format!("{} >= 3 * {}", millis_of("self.aliveThreshold"), millis_of("self.heartbeatInterval"));
    rule_at(".aliveThreshold", &three, "must be at least 3 times heartbeatInterval")(schema);
}

pub(crate) fn retry(schema: &mut Schema) {
    let own = |field: &str| {
        let (own, base) = (format!("self.classes[c].backoff.{field}"), format!("self.backoff.{field}"));
        format!("(has({own}) ? {} : {})", millis_of(&own), millis_of(&base))
    };
    let longer = format!(
        "!has(self.classes) || self.classes.all(c, !has(self.classes[c].backoff) || {} >= {})",
        own("max"),
        own("initial")
    );
    rule_at(".classes", &longer, "has a class whose backoff.max is less than its backoff.initial")(schema);
}

pub(crate) fn backoff(schema: &mut Schema) {
    let longer = format!("{} >= {}", millis_of("self.max"), millis_of("self.initial"));
    rule_at(".max", &longer, "must not be less than initial")(schema);
}

pub(crate) fn interval(schema: &mut Schema) {
    let earlier = format!("{} < {}", millis_of("self.offset"), millis_of("self.every"));
    rule_at(".offset", &earlier, "must be less than every")(schema);
}
