//! `attrsync sandbox`: the BigCommerce simulator as a server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::failure::Failure;
use super::{Exit, signals, view};
use crate::config::Secret;
use crate::sandbox::{Counting, Faults, Model, SandboxOptions, Server};

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Customers 1 to this exist
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(0..))]
    customers: i64,
    /// The store's hash
    #[arg(long, default_value = "sandbox")]
    hash: String,
    /// The token that may read and write
    #[arg(long, default_value = "sandbox-token")]
    token: String,
    /// How long a call takes
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// What goes wrong and how often: lost=0.01,429=0.05,reads=0.01
    #[arg(long, value_name = "NAME=RATE,…", default_value = "")]
    faults: String,
    /// What chance is drawn from: the same seed gives the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the limit of 10 a call counts
    #[arg(long, value_enum, default_value_t = Count::Items)]
    count: Count,
    /// Requests allowed in 30 seconds
    #[arg(long, value_name = "REQUESTS", default_value_t = 150)]
    quota: u32,
}

/// What the limit of a call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Count {
    /// Values
    Items,
    /// Distinct customers
    Customers,
}

pub(super) async fn run(args: &Args) -> Result<Exit, Failure> {
    let options = options(args)?;
    let model = Arc::new(Mutex::new(Model::new(options)));
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.port);
    let server = Server::start(address, model).await.map_err(|error| {
        Failure::caused_by(error).hint("choose another port with --port, or let it pick one with --port 0")
    })?;
    view::out(&lines(server.addr, &args.hash, &args.token))?;
    view::note("Ctrl-C ends it; nothing is kept");
    signals::until_asked().await?;
    Ok(Exit::Done)
}

fn options(args: &Args) -> Result<SandboxOptions, Failure> {
    let mut options = SandboxOptions {
        hash: args.hash.clone(),
        token: Secret::new(&args.token),
        customers: args.customers,
        latency: args.latency,
        faults: args.faults.parse::<Faults>().map_err(Failure::usage)?,
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

/// What to write in sync.toml to rehearse here.
fn lines(address: SocketAddr, hash: &str, token: &str) -> String {
    format!("[store]\nhash = {hash:?}\naccess_token = {token:?}\napi_url = \"http://{address}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_pasted() {
        let text = lines(([127, 0, 0, 1], 8080).into(), "sandbox", "secret");
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["store"]["api_url"].as_str(), Some("http://127.0.0.1:8080"));
        assert_eq!(table["store"]["hash"].as_str(), Some("sandbox"));
    }
}
