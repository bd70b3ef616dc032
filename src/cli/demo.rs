//! `attrsync demo`: the whole story on this machine, with a private Postgres and the simulator.

mod story;
mod environment;

use std::path::PathBuf;

use super::failure::Failure;
use super::{Exit, signals, view};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that the demo makes and leaves behind
    #[arg(long, default_value = "attrsync-demo")]
    dir: PathBuf,
    /// Bring database and simulator of an earlier demo up again, and wait for Ctrl-C
    #[arg(long)]
    serve: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit, Failure> {
    // Whoever asks the demo to end gets its servers stopped too: they end with the future.
    tokio::select! {
        told = tell(args) => told,
        asked = signals::until_asked() => {
            asked?;
            if args.serve {
                return Ok(Exit::Done);
            }
            view::note("stopped; remove the folder before the next demo");
            Ok(Exit::Failed)
        }
    }
}

async fn tell(args: &Args) -> Result<Exit, Failure> {
    if args.serve {
        let workshop = environment::Workshop::again(&args.dir).await?;
        story::invite(&workshop)?;
        std::future::pending::<()>().await;
    }
    let workshop = environment::Workshop::create(&args.dir).await?;
    story::tell(&workshop).await?;
    Ok(Exit::Done)
}
