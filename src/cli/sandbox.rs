//! `attrsync sandbox`: the BigCommerce simulator as a server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::signals;
use crate::config::Secret;
use crate::sandbox::{Counting, Faults, Model, SandboxOptions, Server};

/// What `--help` adds.
const EXAMPLES: &str = "\
It prints the [store] section for sync.toml, and which customers and attributes
it has. Nothing is kept when it ends.

Examples:
  attrsync sandbox                           a store that works
  attrsync sandbox --count items             one that counts values
  attrsync sandbox --port 0 --faults lost=0.01,429=0.05
                                             a free port, 1 % lost responses";

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The port on 127.0.0.1; 0 chooses a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// How many customers exist: ids 1 to COUNT
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(0..))]
    customers: i64,
    /// The store's hash
    #[arg(long, default_value = "sandbox")]
    hash: String,
    /// The access token
    #[arg(long, default_value = "sandbox-token")]
    token: String,
    /// How long each call takes
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// Which faults happen, and how often: lost=0.01,429=0.05,reads=0.01; none if not given
    #[arg(long, value_name = "NAME=RATE,…")]
    faults: Option<String>,
    /// The seed of the random faults: the same seed gives the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the limit of 10 per call counts
    #[arg(long, value_enum, default_value_t = Count::Customers)]
    count: Count,
    /// The rate limit: requests in 30 seconds
    #[arg(long, value_name = "REQUESTS", default_value_t = 150)]
    quota: u32,
}

/// What the limit of 10 per call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Count {
    /// Values
    Items,
    /// Distinct customers
    Customers,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let options = options(args)?;
    let about = about(&options);
    let model = Arc::new(Mutex::new(Model::new(options)));
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.port);
    let server = Server::start(address, model).await.map_err(|error| {
        Failure::caused_by(error).hint("choose another port with --port, or a free one with --port 0")
    })?;
    context.console.out(&(about + &lines(server.addr, &args.hash, &args.token)))?;
    context.console.note("Ctrl-C ends it; nothing is kept");
    signals::wait_for_end().await?;
    Ok(Exit::Done)
}

fn options(args: &Args) -> Result<SandboxOptions, Failure> {
    let mut options = SandboxOptions {
        hash: args.hash.clone(),
        token: Secret::new(&args.token),
        customers: args.customers,
        latency: args.latency,
        faults: args.faults.as_deref().unwrap_or_default().parse::<Faults>().map_err(Failure::usage)?,
        seed: args.seed,
        ..SandboxOptions::default()
    };
    options.limits.counting = match args.count {
        Count::Items => Counting::Items,
        Count::Customers => Counting::Customers,
    };
    options.quota.requests = args.quota;
    Ok(options)
}

/// Returns what the store has, as comments of sync.toml.
fn about(options: &SandboxOptions) -> String {
    let attributes: Vec<String> = options
        .attributes
        .iter()
        .map(|attribute| format!("{} = {} ({})", attribute.id, attribute.name, attribute.kind))
        .collect();
    let counted = match options.limits.counting {
        Counting::Items => "values",
        Counting::Customers => "customers",
    };
    format!(
        "# Customers: 1 to {}. Attributes: {}.\n# A request may have {} {counted}. {} requests in {} seconds.\n\
         # Put these lines in place of the section [store] of sync.toml:\n",
        options.customers,
        attributes.join(", "),
        options.limits.max_per_request,
        options.quota.requests,
        options.quota.window_ms / 1000
    )
}

/// Returns the section of sync.toml for this sandbox.
fn lines(address: SocketAddr, hash: &str, token: &str) -> String {
    format!("[store]\nhash = {hash:?}\naccess_token = {token:?}\napi_url = \"http://{address}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_pasted() {
        let about = about(&SandboxOptions::default());
        assert!(
            about.contains("Customers: 1 to 1000. Attributes: 1 = loyalty_tier (string), 2 ="),
            "{about}"
        );
        let text = about + &lines(([127, 0, 0, 1], 8080).into(), "sandbox", "secret");
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["store"]["api_url"].as_str(), Some("http://127.0.0.1:8080"));
        assert_eq!(table["store"]["hash"].as_str(), Some("sandbox"));
    }

    #[test]
    fn the_store_counts_as_the_documentation_says_unless_told() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let counting = |line: &[&str]| {
            let line = <Line as clap::Parser>::try_parse_from(line).expect("arguments");
            options(&line.args).expect("options").limits.counting
        };
        assert_eq!(counting(&["sandbox"]), Counting::Customers);
        assert_eq!(counting(&["sandbox", "--count", "items"]), Counting::Items);
    }
}
