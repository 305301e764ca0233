//! What of an image is started: for a prompt, and for a person at a terminal.

use super::catalogue::AgentImage;

/// What the program that carries out an image is told to do on a prompt.
const HEADLESS: &str = "headless";
/// And with a person.
const INTERACTIVE: &str = "interactive";

impl AgentImage {
    /// What works on a prompt.
    pub(crate) fn launch(&self) -> Vec<String> {
        if self.entry.is_empty() { self.headless.command.clone() } else { entered(&self.entry, HEADLESS) }
    }

    /// What a person speaks with; `None` where the image says nothing of that.
    pub(crate) fn interactive(&self) -> Option<Vec<String>> {
        let interactive = self.interactive.as_ref()?;
        Some(if self.entry.is_empty() { interactive.command.clone() } else { entered(&self.entry, INTERACTIVE) })
    }
}

fn entered(entry: &[String], how: &str) -> Vec<String> {
    entry.iter().cloned().chain([how.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use crate::images::catalogue;

    const HEAD: &str =
        "name = \"x\"\ncall_sign = \"XX\"\ntitle = \"\"\ndescription = \"\"\nversion = \"1\"\nbase = \"debian\"\n";

    fn image(entry: &str, interactive: &str) -> catalogue::AgentImage {
        let headless = "[headless]\ncommand = [\"work\", \"-p\"]\nprompt = \"stdin\"\n";
        catalogue::read("x", &format!("{HEAD}{entry}\n{headless}\n{interactive}"), Vec::new()).unwrap()
    }

    #[test]
    fn where_there_is_an_entry_it_is_told_what_to_do_and_elsewhere_the_command_is_started() {
        let speak = "[interactive]\ncommand = [\"speak\"]";
        let entered = image("entry = [\"berth-agent\"]", speak);
        assert_eq!(entered.launch(), ["berth-agent", "headless"]);
        assert_eq!(entered.interactive().unwrap(), ["berth-agent", "interactive"]);
        let plain = image("", speak);
        assert_eq!(
            (plain.launch(), plain.interactive()),
            (vec!["work".into(), "-p".into()], Some(vec!["speak".into()]))
        );
        assert_eq!(image("entry = [\"berth-agent\"]", "").interactive(), None);
    }
}
