//! Traces by OTLP: what a collector receives, and that one which does not respond costs nothing.

#[cfg(feature = "otlp")]
mod spans;

use std::process::Command;

use super::world::{LedgerKind, Said, World};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn run(command: &mut Command) -> Said {
    Said::from(command.output().expect("the program runs"))
}

#[cfg(not(feature = "otlp"))]
#[test]
fn promise_12_a_build_without_traces_says_so_if_they_are_asked_for() {
    let world = World::with_customers(LedgerKind::File, 1);
    let mut sync = world.program(&["sync"]);
    let said = run(sync.env(ENDPOINT, "http://127.0.0.1:9")).exits(0);
    assert!(said.err.contains(&format!("no traces are sent, although {ENDPOINT} is set")), "{said:#?}");
    assert!(!run(sync.env("OTEL_SDK_DISABLED", "true")).exits(0).err.contains("traces"));
}

#[cfg(feature = "otlp")]
mod with_traces {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::spans::{Span, of_export};
    use super::*;
    use crate::end_to_end::world::{TOKEN, until};
    use crate::support::http::{Act, HttpServer, response};

    const SECRET: &str = "header-3f9d0c";

    fn collector() -> HttpServer {
        HttpServer::start(vec![Act::Respond(response(200, &[], "")); 100])
    }

    /// Returns all spans, and the name of the process that sent them.
    fn received(collector: &HttpServer) -> (String, Vec<Span>) {
        let (mut name, mut spans) = (String::new(), Vec::new());
        for request in collector.seen() {
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/traces"));
            assert_eq!(request.header("authorization"), Some(SECRET));
            let raw = String::from_utf8_lossy(&request.bytes).into_owned();
            for hidden in [TOKEN, SECRET, "first", "!reject"] {
                assert!(!raw.contains(hidden), "{hidden} in {raw}");
            }
            let (resource, more) = of_export(&request.bytes);
            name.clone_from(&resource["service.name"]);
            spans.extend(more);
        }
        (name, spans)
    }

    fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
        spans.iter().filter(|span| span.name == name).collect()
    }

    #[test]
    fn promise_11_a_run_is_traced_without_values_and_without_secrets() {
        let world = World::with_customers(LedgerKind::File, 45);
        world.use_long_timeout();
        world.change("!reject", "8");
        let collector = collector();
        let mut sync = world.program(&["sync"]);
        sync.env(ENDPOINT, collector.url())
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={SECRET}"));
        run(&mut sync).exits(3);
        let (name, spans) = received(&collector);
        assert_eq!(name, "attrsync");
        let (runs, batches, requests) =
            (named(&spans, "sync"), named(&spans, "batch"), named(&spans, "request"));
        let [run] = runs[..] else { panic!("{runs:#?}") };
        assert!(run.parent.is_empty() && !run.is_error);
        for (attribute, value) in [
            ("attrsync.sync", "sync"),
            ("attrsync.run.id", "1"),
            ("attrsync.run.kind", "sync"),
            ("attrsync.run.trigger", "manual"),
            ("attrsync.run.status", "partial"),
            ("attrsync.planned", "45"),
            ("attrsync.confirmed", "44"),
            ("attrsync.rejected", "1"),
        ] {
            assert_eq!(run.attribute(attribute), value, "{attribute}");
        }
        assert_eq!(named(&spans, "plan").len(), 1);
        assert_eq!(batches.len(), 5, "{batches:#?}");
        let parent = |span: &Span| spans.iter().find(|parent| parent.id == span.parent).cloned();
        for span in batches.iter().chain(&requests).chain(&named(&spans, "plan")) {
            let parent = parent(span).expect("a parent");
            let expect = if span.name == "request" { "batch" } else { "sync" };
            assert_eq!((parent.name.as_str(), &span.trace), (expect, &run.trace));
            assert!(parent.time.0 <= span.time.0 && span.time.1 <= parent.time.1, "{span:#?} {parent:#?}");
        }
        let in_ledger = world.ask("select id, attempt, items, http_status from requests order by id");
        assert_eq!(requests.len(), in_ledger.len());
        for row in &in_ledger {
            let id = row["id"].as_i64().expect("an id");
            let of_row = |span: &&&Span| span.number("attrsync.request.id") == id;
            let span = requests.iter().find(of_row).expect("a span for each request");
            assert_eq!(Some(span.number("attrsync.request.values")), row["items"].as_i64());
            assert_eq!(Some(span.number("attrsync.request.attempt")), row["attempt"].as_i64());
            let class = if span.is_error { "4xx" } else { "2xx" };
            assert_eq!(span.attribute("attrsync.response.class"), class);
            assert_eq!(span.is_error, row["http_status"] == 422, "{row}");
        }
        // The bad value was found by several requests, which all belong to the batch that had it.
        let bad = batches.iter().find(|batch| batch.number("attrsync.batch.requests") > 1);
        let bad = bad.expect("a batch that was refused");
        let below = requests.iter().filter(|request| request.parent == bad.id).count() as i64;
        assert_eq!(bad.number("attrsync.batch.requests"), below);
        assert_eq!(below, requests.len() as i64 - 4);
    }

    #[test]
    fn waits_are_events_of_the_run_and_a_failed_run_is_an_error() {
        let world = World::with_customers(LedgerKind::File, 3);
        // Waits of less than 100 ms are not counted.
        let config = world.config("").replace("backoff = \"10ms\"", "backoff = \"300ms\"");
        world.write_config(&config.replace("backoff_max = \"50ms\"", "backoff_max = \"300ms\""));
        world.script(&[attrsync::sandbox::Fault::Status(503); 1_000]);
        let collector = collector();
        let mut sync = world.program(&["sync"]);
        sync.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", collector.url()));
        sync.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={SECRET}"));
        sync.env("OTEL_SERVICE_NAME", "shop");
        run(&mut sync).exits(1);
        let (name, spans) = received(&collector);
        assert_eq!(name, "shop");
        let runs = named(&spans, "sync");
        assert!(runs[0].is_error && runs[0].events.contains(&"wait".to_owned()), "{:#?}", runs[0]);
        assert!(runs[0].number("attrsync.waited_ms.backoff") > 0);
        assert!(named(&spans, "request").iter().all(|request| request.is_error));
    }

    #[test]
    fn serve_sends_the_traces_of_its_runs() {
        let world = World::with_customers(LedgerKind::File, 3);
        let collector = collector();
        world.write_config(&format!("{}[schedule]\nevery = \"1s\"\n", world.config("")));
        let mut serve = world.program(&["serve", "--address", "127.0.0.1:0"]);
        serve.env(ENDPOINT, collector.url()).env("OTEL_BSP_SCHEDULE_DELAY", "100");
        serve.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={SECRET}"));
        let serve = super::super::world::Running::start(&mut serve);
        until("two runs are traced", || named(&received(&collector).1, "sync").len() > 1);
        serve.signal("TERM");
        serve.end().exits(0);
        let runs = world.number("select count(*) as n from runs where kind = 'sync'");
        let spans = received(&collector).1;
        assert_eq!(named(&spans, "sync").len() as i64, runs);
        let readings = named(&spans, "reconcile");
        let [reading] = readings[..] else { panic!("{readings:#?}") };
        assert_eq!(reading.attribute("attrsync.run.trigger"), "schedule");
    }

    #[test]
    fn a_reading_of_the_store_is_a_run_of_its_own() {
        let world = World::with_customers(LedgerKind::File, 3);
        run(&mut world.program(&["sync"])).exits(0);
        let collector = collector();
        let mut reconcile = world.program(&["reconcile"]);
        reconcile.env(ENDPOINT, collector.url());
        reconcile.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={SECRET}"));
        run(&mut reconcile).exits(0);
        let (_, spans) = received(&collector);
        let [span] = &spans[..] else { panic!("{spans:#?}") };
        assert_eq!((span.name.as_str(), span.attribute("attrsync.run.kind")), ("reconcile", "reconcile"));
        assert_eq!(span.attribute("attrsync.run.status"), "succeeded");
    }

    #[test]
    fn a_collector_that_does_not_respond_delays_no_run_and_is_told_once() {
        let world = World::with_customers(LedgerKind::File, 900);
        world.use_long_timeout();
        world.disable_guard();
        let sync = |endpoint: &str, value: &str| {
            world.execute(&format!("update customer_attribute_values set value = '{value}'"));
            let started = Instant::now();
            let mut sync = world.program(&["sync"]);
            // A queue that cannot take the spans of the run.
            sync.env(ENDPOINT, endpoint).env("OTEL_BSP_MAX_QUEUE_SIZE", "20");
            sync.env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10").env("OTEL_EXPORTER_OTLP_TIMEOUT", "600000");
            let said = run(&mut sync).exits(0);
            world.assert_landed(900, value);
            assert_eq!(said.err.matches("traces could not be sent").count(), 1, "{said:#?}");
            started.elapsed()
        };
        let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        sync(&format!("http://{}", closed.expect("an address")), "one");
        let silent = HttpServer::start(vec![Act::Hang(Vec::new()); 10]);
        let took = sync(&silent.url(), "two");
        assert!(took < Duration::from_secs(60), "{took:?}");
    }

    #[test]
    fn promise_12_what_the_environment_says_wrongly_is_told() {
        let world = World::with_customers(LedgerKind::File, 1);
        let sync = |variables: &[(&str, &str)]| {
            run(world.program(&["sync"]).envs(variables.iter().copied())).exits(0).err
        };
        let grpc = sync(&[(ENDPOINT, "http://127.0.0.1:9"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert!(grpc.contains("attrsync speaks http/protobuf only"), "{grpc}");
        let wrong = sync(&[(ENDPOINT, "user:pass-2c1b@ host")]);
        assert!(wrong.contains(ENDPOINT) && !wrong.contains("pass-2c1b"), "{wrong}");
        assert!(
            !sync(&[(ENDPOINT, "http://127.0.0.1:9"), ("OTEL_TRACES_EXPORTER", "none")]).contains("traces")
        );
        assert!(!sync(&[]).contains("traces"));
    }
}
