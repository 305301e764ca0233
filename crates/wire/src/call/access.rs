//! What is asked of model access: secrets, what agents may reach, what was spent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Request;
use crate::{
    compute::ComputeRates,
    cost::{BudgetScope, CostKey, Rates},
    ids::{RunId, TaskId},
    money::MicroUsd,
    network::{GrantScope, HostGrant},
    secret::{SecretBinding, SecretText, SecretWay},
};

/// Arguments of [`Request::ListSecrets`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSecrets {}

/// Arguments of [`Request::SetSecret`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSecret {
    /// Its name: 1 to [`SECRET_NAME_CHARS_MAX`](crate::secret::SECRET_NAME_CHARS_MAX) of letters, digits and `_`, `-`, `.`, beginning
    /// with a letter or `_`.
    pub name: String,
    /// The value: one line of text.
    pub value: SecretText,
    /// What it opens; stays as it is, or is guessed from the name, where it is `None`.
    #[serde(default)]
    pub binding: Option<SecretBinding>,
}

/// Arguments of [`Request::RenameSecret`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameSecret {
    /// The secret by name.
    pub secret: String,
    /// Its new name, as in [`SetSecret`].
    pub name: String,
}

/// Arguments of [`Request::DeleteSecret`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSecret {
    /// The secret by name.
    pub secret: String,
    /// Its name as the person typed it.
    pub confirm: String,
}

/// Arguments of [`Request::GrantSecret`]. An agent that has the secret gets it anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantSecret {
    /// The secret by name.
    pub secret: String,
    /// The agent by name.
    pub agent: String,
    /// How; brokered where it can be, where it is `None`.
    #[serde(default)]
    pub way: Option<SecretWay>,
    /// The variable; the provider's own, else the secret's name, where it is `None`.
    #[serde(default)]
    pub variable: Option<String>,
}

/// Arguments of [`Request::RevokeSecret`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeSecret {
    /// The secret by name.
    pub secret: String,
    /// The agent by name.
    pub agent: String,
}

/// Arguments of [`Request::PreviewEnvFile`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewEnvFile {
    /// The file's text.
    pub text: SecretText,
}

/// Arguments of [`Request::ImportEnvFile`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportEnvFile {
    /// The file's text.
    pub text: SecretText,
    /// Which of its names are wanted.
    pub names: Vec<String>,
}

/// Arguments of [`Request::ListRequests`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRequests {
    /// Only those of this task.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// Only those of this run.
    #[serde(default)]
    pub run: Option<RunId>,
    /// Only those before this one; the newest where it is `None`.
    #[serde(default)]
    pub before_seq: Option<i64>,
    /// How many at most, newest first: 1 to 1,000; 0 for 200.
    #[serde(default)]
    pub limit: u32,
}

/// Arguments of [`Request::AllowHost`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowHost {
    /// The agent that asked, by name. One without a gateway is allowed nothing.
    pub agent: String,
    /// What is allowed.
    pub grant: HostGrant,
    /// To whom.
    #[serde(default)]
    pub scope: GrantScope,
}

/// Arguments of [`Request::ShowReach`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowReach {
    /// As in [`ShowRun`](super::ShowRun).
    pub run: String,
}

/// Arguments of [`Request::ShowCosts`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowCosts {
    /// From when on; everything where it is `None`.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Before when.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// What the lines are sums by.
    #[serde(default)]
    pub by: CostKey,
}

/// Arguments of [`Request::ListCostRuns`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCostRuns {
    /// What the sum is by; not by run, which is one already.
    pub by: CostKey,
    /// Which of its sums: the [`key`](crate::cost::CostLine::key) of a line; an agent's or a project's name will do.
    pub key: String,
    /// From when on; everything where it is `None`.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Before when.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// Arguments of [`Request::ShowCompute`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowCompute {
    /// From when on; everything where it is `None`.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Before when.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// What the lines are sums by.
    #[serde(default)]
    pub by: CostKey,
}

/// Arguments of [`Request::SetComputeRates`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetComputeRates {
    /// The rates; `None` takes them away. They count for what was used before too.
    #[serde(default)]
    pub rates: Option<ComputeRates>,
}

/// Arguments of [`Request::SetBudget`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBudget {
    /// What it is for.
    pub scope: BudgetScope,
    /// The limit; `None` takes the budget away. Raising it lets what it held go on.
    #[serde(default)]
    pub limit: Option<MicroUsd>,
}

/// Arguments of [`Request::ListPrices`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPrices {}

/// Arguments of [`Request::SetPrice`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPrice {
    /// The model by its name; every name that begins so where it ends in a star.
    pub model: String,
    /// The price; `None` takes it away, so that the table's holds again.
    #[serde(default)]
    pub rates: Option<Rates>,
}
