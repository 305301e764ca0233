//! Setting what an hour of a sandbox costs, and taking it away.

use wire::{call::SetComputeRates, compute::ComputeRates};
use yew::prelude::*;

use super::asked::{dollars, written};
use crate::{
    dialog::Modal,
    parts::{refusal, typed},
    sending::use_sending,
};

/// Rates as they are being written: dollars an hour, as they were typed; nothing where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Draft {
    container: String,
    cpu: String,
    memory_gib: String,
}

/// Why they cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("A rate is an amount of dollars an hour, such as 0.05, up to a million")]
    Rate,
    #[error("Write one rate at least, or remove them")]
    Nothing,
}

impl Draft {
    fn of(rates: &ComputeRates) -> Self {
        let shown = |rate: wire::MicroUsd| if rate.0 == 0 { String::new() } else { written(rate) };
        Self { container: shown(rates.container), cpu: shown(rates.cpu), memory_gib: shown(rates.memory_gib) }
    }

    fn call(&self) -> Result<SetComputeRates, Problem> {
        let rate = |typed: &str| match typed.trim() {
            "" => Ok(wire::MicroUsd(0)),
            typed => dollars(typed).filter(|rate| *rate <= ComputeRates::MAX).ok_or(Problem::Rate),
        };
        let rates = ComputeRates {
            container: rate(&self.container)?,
            cpu: rate(&self.cpu)?,
            memory_gib: rate(&self.memory_gib)?,
        };
        if rates == ComputeRates::default() {
            return Err(Problem::Nothing);
        }
        Ok(SetComputeRates { rates: Some(rates) })
    }
}

#[derive(PartialEq, Properties)]
pub struct RatesProps {
    /// The rates there are.
    pub rates: Option<ComputeRates>,
    pub on_close: Callback<()>,
}

/// The dialog.
#[component]
pub fn RatesDialog(props: &RatesProps) -> Html {
    let draft = use_state_eq(|| props.rates.as_ref().map_or_else(Draft::default, Draft::of));
    let sending = use_sending(props.on_close.clone());
    let call = draft.call();
    let (reason, save) = sending.offer(call);
    let on_save = save.reform(|_: MouseEvent| ());
    let on_remove = {
        let sending = sending.clone();
        Callback::from(move |_: MouseEvent| sending.send(SetComputeRates { rates: None }))
    };
    let field = |label: &'static str, test: &'static str, value: &str, edit: fn(&mut Draft, String)| {
        let draft = draft.clone();
        let oninput = Callback::from(move |event: InputEvent| {
            let mut next = (*draft).clone();
            edit(&mut next, typed(&event));
            draft.set(next);
        });
        html! {
            <label class="field"><span class="label">{ label }</span>
                <span class="input"><span class="unit">{ "$" }</span><input class="value" autocomplete="off" spellcheck="false" data-test={test} placeholder="0" value={value.to_owned()} {oninput} /></span></label>
        }
    };
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.clone().unwrap_or_else(|| "They hold for what was used before, too".to_owned()) }</span>
            <span class="spring"></span>
            if props.rates.is_some() {
                <button class="button" data-kind="danger" data-test="rates-remove" title="What sandboxes cost is not known then" aria-disabled={sending.is_busy.then_some("true")} onclick={on_remove}>{ "Remove them" }</button>
            }
            <button class="button" data-kind="primary" data-test="rates-yes" aria-disabled={reason.is_some().then_some("true")} onclick={on_save}>{ "Set" }</button>
        </>
    };
    html! {
        <Modal title="What sandboxes cost" test="rates-dialog" on_close={props.on_close.clone()} {foot}>
            <p class="weak">{ "Dollars an hour. It is your machine: say what an hour of it is worth to you, or what a rented one would cost." }</p>
            <div class="form rates">
                { field("A sandbox", "rate-container", &draft.container, |draft, text| draft.container = text) }
                { field("A core at work", "rate-cpu", &draft.cpu, |draft, text| draft.cpu = text) }
                { field("A GiB of memory", "rate-memory", &draft.memory_gib, |draft, text| draft.memory_gib = text) }
            </div>
            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::MicroUsd;

    #[test]
    fn rates_that_are_left_alone_are_set_as_they_were() {
        let rates = ComputeRates { cpu: MicroUsd(50_000), ..ComputeRates::default() };
        assert_eq!(Draft::of(&rates).call(), Ok(SetComputeRates { rates: Some(rates) }));
    }

    #[test]
    fn what_makes_no_rates_is_said_before_it_is_sent() {
        let draft = |cpu: &str| Draft { cpu: cpu.to_owned(), ..Draft::default() };
        assert_eq!(Draft::default().call(), Err(Problem::Nothing));
        for wrong in ["x", "-1", "1000001"] {
            assert_eq!(draft(wrong).call(), Err(Problem::Rate), "{wrong}");
        }
        assert!(draft("1000000").call().is_ok());
    }
}
