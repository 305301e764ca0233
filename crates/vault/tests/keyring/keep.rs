//! A vault on the session bus of its environment, told by its arguments what to do.

#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::io::Read as _;

use anyhow::{Context as _, bail};
use vault::secrecy::ExposeSecret as _;
use vault::{Place, Use, Vault};

/// `INSTALL place` · `INSTALL put SECRET NAME` (the value comes by standard input) · `INSTALL get SECRET` · `INSTALL delete SECRET`
#[tokio::main]
pub(crate) async fn carry_out(arguments: &[String]) -> anyhow::Result<()> {
    let [install, verb, rest @ ..] = arguments else { bail!("an install and a verb are needed") };
    let vault = Vault::open(install.parse()?, Use::Keyring).await;
    match (verb.as_str(), rest) {
        ("place", []) => match vault.place() {
            Place::Keyring => println!("keyring"),
            Place::Session(why) => println!("session {why:?}"),
        },
        ("put", [secret, name]) => {
            let mut value = String::new();
            std::io::stdin().read_to_string(&mut value).context("read the value")?;
            vault.put(secret.parse()?, name, value.into()).await?;
        }
        ("get", [secret]) => print!("{}", vault.get(secret.parse()?).await?.expose_secret()),
        ("delete", [secret]) => vault.delete(secret.parse()?).await?,
        _ => bail!("unknown: {verb}"),
    }
    Ok(())
}
