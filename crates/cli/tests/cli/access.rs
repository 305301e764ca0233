//! What the scripted Berth answers about secrets, the network and money.

use serde_json::{Value, to_value};
use wire::{
    ErrorCode, ErrorView, MicroUsd, Request,
    call::{Deleted, ListRequests},
    compute::{ComputeCosts, ComputeLine, ComputeRates, ComputeUse, ComputeView},
    cost::{BudgetScope, BudgetView, CostKey, CostLine, CostRuns, CostsView, PriceView, Rates, Spent, TokenCounts},
    network::{GrantReach, HostGrant, NetworkMode, NetworkPolicy, ReachView, RequestView},
    news::{NewsKind, NewsSettings},
    project::ProjectView,
    secret::{
        CredentialKind, EnvEntry, GrantView, Provider, SecretBinding, SecretView, SecretWay, SecretsView, SignedIn,
    },
    view::AgentSecretView,
};

use super::{Script, run_id};

/// The name of the secret that cannot be kept.
pub(crate) const LOCKED: &str = "LOCKED";

impl Script {
    pub(super) fn access(&self, request: Request) -> Result<Value, ErrorView> {
        let reply = match request {
            Request::ListSecrets(_) | Request::ImportEnvFile(_) => to_value(self.secrets()),
            Request::SetSecret(set) if set.name == LOCKED => {
                return Err(ErrorView::new(ErrorCode::Keyring, "The keyring is locked.").hint("Unlock it."));
            }
            Request::SetSecret(set) => to_value(self.secret(&set.name)),
            Request::RenameSecret(rename) => to_value(self.secret(&rename.name)),
            Request::DeleteSecret(delete) if delete.confirm == delete.secret => to_value(Deleted {}),
            Request::DeleteSecret(delete) => {
                let message = format!("`{}` is not the name of this secret, so it was not deleted.", delete.confirm);
                return Err(ErrorView::new(ErrorCode::InvalidArgument, message).hint("Type it once more."));
            }
            Request::GrantSecret(grant) => to_value(self.secret(&grant.secret)),
            Request::RevokeSecret(revoke) => to_value(self.secret(&revoke.secret)),
            Request::PreviewEnvFile(_) => to_value(entries()),
            Request::ListRequests(list) => to_value(self.requests_of(&list)),
            Request::ShowCosts(show) => to_value(CostsView { from: show.from, until: show.until, ..costs(show.by) }),
            Request::SetBudget(_) => to_value(costs(CostKey::Agent)),
            Request::ListPrices(_) | Request::SetPrice(_) => to_value(prices()),
            Request::UpdateAgent(update) => {
                // The list is the core's to change.
                let hosts = self.network.lock().unwrap().hosts().to_vec();
                let network = update.mode.map(|mode| match mode {
                    NetworkMode::Closed => NetworkPolicy::Closed,
                    NetworkMode::Allowlist => NetworkPolicy::Allowlist { hosts },
                    NetworkMode::Open => NetworkPolicy::Open { hosts },
                    NetworkMode::Bridge => NetworkPolicy::Bridge,
                });
                if let Some(network) = network {
                    *self.network.lock().unwrap() = network;
                }
                to_value(self.agent())
            }
            Request::ListProjects(_) => to_value(self.projects()),
            Request::CreateProject(_) | Request::UpdateProject(_) => to_value(&self.projects()[0]),
            Request::DeleteProject(_) => to_value(Deleted {}),
            Request::AllowHost(_) => to_value(self.agent()),
            Request::ListCostRuns(list) => {
                let CostsView { total, lines, lines_total, .. } = costs(CostKey::Run);
                to_value(CostRuns { label: list.key, total, lines, lines_total })
            }
            Request::ShowCompute(show) => {
                to_value(ComputeCosts { from: show.from, until: show.until, ..compute(show.by) })
            }
            Request::ShowNewsSettings(_) => to_value(NewsSettings { silent: vec![NewsKind::BudgetNearlySpent] }),
            Request::SetNews(set) => {
                let silent = if set.is_silent { set.kinds } else { Vec::new() };
                to_value(NewsSettings { silent })
            }
            Request::SetComputeRates(set) => to_value(ComputeCosts { rates: set.rates, ..compute(CostKey::Agent) }),
            Request::ShowReach(_) => to_value(Self::reach()),
            other => panic!("the command line does not ask this yet: {other:?}"),
        };
        Ok(reply.unwrap())
    }

    fn projects(&self) -> Vec<ProjectView> {
        let project = |name: &str, tasks, tasks_open, hosts| ProjectView {
            project: "0195510f-5a00-7000-8000-000000000007".parse().unwrap(),
            name: name.to_owned(),
            created_at: self.at,
            tasks,
            tasks_open,
            hosts,
            delete_denied: (tasks_open > 0).then(|| "2 of its tasks have not ended.".to_owned()),
        };
        vec![project("site", 12, 2, vec![host("a.example")]), project("my books", 0, 0, Vec::new())]
    }

    fn reach() -> ReachView {
        ReachView {
            agent: "script".to_owned(),
            network: NetworkPolicy::Allowlist { hosts: vec![host("*.own.example")] },
            project: Some("site".to_owned()),
            project_hosts: vec![host("a.example")],
            run_hosts: vec![HostGrant { port: Some(8443), reach: GrantReach::Private, ..host("127.0.0.1") }],
        }
    }

    fn secrets(&self) -> SecretsView {
        let place = self.place.lock().unwrap().clone();
        let gateway = SecretBinding::Provider {
            provider: Provider::Openai,
            base_url: Some("http://127.0.0.1:8080/v1".to_owned()),
            credential: CredentialKind::Key,
        };
        let grant = |agent_name: &str, way, variable: &str| GrantView {
            agent: self.agent().agent,
            agent_name: agent_name.to_owned(),
            way,
            variable: variable.to_owned(),
        };
        let key = SecretView {
            used_at: Some(self.at),
            grants: vec![
                grant("coder", SecretWay::Brokered, "ANTHROPIC_API_KEY"),
                grant("tester", SecretWay::Injected, "KEY"),
            ],
            ..self.secret("ANTHROPIC_API_KEY")
        };
        let local = SecretView { binding: gateway, ..self.secret("local") };
        let token = SecretView { binding: SecretBinding::Unbound, ..self.secret("GITHUB_TOKEN") };
        let agent = self.agent();
        let inside = SignedIn { agent: agent.agent, agent_name: agent.name, logins: agent.logins };
        SecretsView { place, secrets: vec![key, token, local], inside: vec![inside] }
    }

    fn secret(&self, name: &str) -> SecretView {
        SecretView {
            secret: "0195510f-5a00-7000-8000-000000000005".parse().unwrap(),
            name: name.to_owned(),
            binding: SecretBinding::key_of(Provider::Anthropic),
            created_at: self.at,
            replaced_at: self.at,
            used_at: None,
            grants: Vec::new(),
        }
    }

    fn requests_of(&self, list: &ListRequests) -> Vec<RequestView> {
        let requests = self.requests.lock().unwrap();
        let is_before = |request: &&RequestView| list.before_seq.is_none_or(|before| request.seq < before);
        let is_of_run = |request: &&RequestView| list.run == Some(request.run);
        requests.iter().rev().filter(is_before).filter(is_of_run).take(list.limit as usize).cloned().collect()
    }
}

fn host(host: &str) -> HostGrant {
    HostGrant { host: host.to_owned(), port: None, reach: GrantReach::Public }
}

pub(super) fn secrets_of_agent() -> Vec<AgentSecretView> {
    vec![AgentSecretView {
        name: "ANTHROPIC_API_KEY".to_owned(),
        binding: SecretBinding::key_of(Provider::Anthropic),
        way: SecretWay::Brokered,
        variable: "ANTHROPIC_API_KEY".to_owned(),
    }]
}

fn entries() -> Vec<EnvEntry> {
    let entry = |line, name: &str, is_known, problem: Option<&str>| EnvEntry {
        line,
        name: name.to_owned(),
        binding: SecretBinding::Unbound,
        is_known,
        problem: problem.map(str::to_owned),
    };
    vec![
        EnvEntry { binding: SecretBinding::key_of(Provider::Openai), ..entry(1, "OPENAI_API_KEY", false, None) },
        entry(2, "GITHUB_TOKEN", true, None),
        entry(4, "BROKEN", false, Some("It has a `$`, and Berth fills no variables in.")),
        entry(5, "", false, Some("It is no assignment of one line.")),
    ]
}

fn spent(micros: i64, requests: u64, unpriced: u64) -> Spent {
    let tokens = TokenCounts { input: 1_200, cache_read: 30_000, cache_write: 400, output: 560, reasoning: 60 };
    Spent { amount: MicroUsd(micros), requests, unpriced, tokens, ..Spent::default() }
}

fn costs(by: CostKey) -> CostsView {
    let line = |label: &str, spent| CostLine {
        label: label.to_owned(),
        key: label.to_owned(),
        run: Some(run_id()),
        task: Some(12),
        spent,
    };
    CostsView {
        from: None,
        until: None,
        total: spent(1_934_567, 7, 3),
        by,
        lines: vec![
            line("coder", spent(1_920_001, 3, 0)),
            line("=cmd|'/c calc'!A1", spent(14_566, 2, 1)),
            line("a \"quoted\", odd one", spent(0, 2, 2)),
        ],
        lines_total: 4,
        today: spent(250_000, 1, 0),
        budgets: vec![
            BudgetView {
                scope: BudgetScope::EachRun,
                label: "Budget of each run".to_owned(),
                task: None,
                limit: MicroUsd(5_000_000),
                spent: None,
                reserved: MicroUsd(0),
            },
            BudgetView {
                scope: BudgetScope::Agent { agent: "coder".to_owned() },
                label: "Month's budget of the agent coder".to_owned(),
                task: None,
                limit: MicroUsd(1_500_500),
                spent: Some(spent(1_920_001, 3, 0)),
                reserved: MicroUsd(1_250),
            },
        ],
        prices_from: "2026-02-20".to_owned(),
    }
}

fn compute(by: CostKey) -> ComputeCosts {
    let used = |container_ms, cpu_ms, memory_mib_s, at_least| ComputeUse {
        container_ms,
        cpu_ms,
        memory_mib_s,
        attempts: 2,
        at_least,
    };
    let view = |used, cost| ComputeView { used, cost: Some(MicroUsd(cost)) };
    let line = |label: &str, compute| ComputeLine {
        label: label.to_owned(),
        key: String::new(),
        run: run_id(),
        task: 12,
        compute,
    };
    ComputeCosts {
        from: None,
        until: None,
        total: view(used(5_402_000, 724_500, 11_063_296, 1), 170_000),
        by,
        lines: vec![
            line("coder", view(used(5_400_000, 720_000, 11_059_200, 0), 169_999)),
            line("=cmd|'/c calc'!A1", view(used(2_000, 4_500, 4_096, 1), 1)),
        ],
        lines_total: 3,
        rates: Some(ComputeRates { container: MicroUsd(10_000), cpu: MicroUsd(50_000), memory_gib: MicroUsd(5_000) }),
    }
}

fn prices() -> Vec<PriceView> {
    let rates = Rates {
        input: MicroUsd(3_000_000),
        cache_read: Some(MicroUsd(300_000)),
        cache_write: None,
        output: MicroUsd(15_000_000),
    };
    vec![PriceView { model: "anthropic/claude-sonnet-4-5".to_owned(), rates }]
}
