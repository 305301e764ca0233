//! Setting a price of one's own, changing it, taking it away.

use std::rc::Rc;

use wire::{
    MicroUsd,
    call::SetPrice,
    cost::{PriceView, Rates},
};
use yew::prelude::*;

use super::asked::{dollars, written};
use crate::{
    dialog::Modal,
    parts::{refusal, typed},
    say,
    sending::use_sending,
};

/// A price as it is being written: dollars for a million tokens, as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Draft {
    model: String,
    input: String,
    /// As `input` where it is empty.
    cache_read: String,
    /// As `input` where it is empty.
    cache_write: String,
    output: String,
}

/// Why it cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("Name the model, as its replies do")]
    Model,
    #[error("A star stands at the end alone: every name that begins so")]
    Star,
    #[error("A price is an amount of dollars for a million tokens, such as 3 or 0.25")]
    Price,
}

impl Draft {
    fn of(price: &PriceView) -> Self {
        let optional = |rate: Option<MicroUsd>| rate.map_or_else(String::new, written);
        Self {
            model: price.model.clone(),
            input: written(price.rates.input),
            cache_read: optional(price.rates.cache_read),
            cache_write: optional(price.rates.cache_write),
            output: written(price.rates.output),
        }
    }

    fn call(&self) -> Result<SetPrice, Problem> {
        let model = self.model.trim();
        if model.is_empty() {
            return Err(Problem::Model);
        }
        if model.strip_suffix('*').unwrap_or(model).contains('*') {
            return Err(Problem::Star);
        }
        let rate = |typed: &str| dollars(typed).ok_or(Problem::Price);
        let optional = |typed: &str| if typed.trim().is_empty() { Ok(None) } else { rate(typed).map(Some) };
        let rates = Rates {
            input: rate(&self.input)?,
            cache_read: optional(&self.cache_read)?,
            cache_write: optional(&self.cache_write)?,
            output: rate(&self.output)?,
        };
        Ok(SetPrice { model: model.to_owned(), rates: Some(rates) })
    }
}

#[derive(PartialEq, Properties)]
pub struct PriceProps {
    /// The price that is changed; `None` for another one.
    pub price: Option<Rc<PriceView>>,
    pub on_close: Callback<()>,
}

/// The dialog.
#[component]
pub fn PriceDialog(props: &PriceProps) -> Html {
    let draft = use_state_eq(|| props.price.as_deref().map_or_else(Draft::default, Draft::of));
    let sending = use_sending(props.on_close.clone());
    let call = draft.call();
    let (reason, save) = sending.offer(call);
    let on_save = save.reform(|_: MouseEvent| ());
    let on_remove = props.price.as_ref().map(|price| {
        let (sending, model) = (sending.clone(), price.model.clone());
        Callback::from(move |_: MouseEvent| sending.send(SetPrice { model: model.clone(), rates: None }))
    });
    let field = |label: &'static str,
                 test: &'static str,
                 unit: &'static str,
                 value: &str,
                 placeholder: &'static str,
                 edit: fn(&mut Draft, String)| {
        let draft = draft.clone();
        let oninput = Callback::from(move |event: InputEvent| {
            let mut next = (*draft).clone();
            edit(&mut next, typed(&event));
            draft.set(next);
        });
        html! {
            <label class="field"><span class="label">{ label }</span>
                <span class="input">if !unit.is_empty() { <span class="unit">{ unit }</span> }<input class="value" autocomplete="off" spellcheck="false" data-test={test} {placeholder} value={value.to_owned()} {oninput} /></span></label>
        }
    };
    let title = props
        .price
        .as_ref()
        .map_or_else(|| "Set a price".to_owned(), |price| format!("Price of {}", say::visible(&price.model)));
    let foot = html! {
        <>
            <span class="note" role="status">{ reason.clone().unwrap_or_else(|| "It holds for requests from now on".to_owned()) }</span>
            <span class="spring"></span>
            if let Some(on_remove) = on_remove {
                <button class="button" data-kind="danger" data-test="price-remove" title="The table's price holds again" aria-disabled={sending.is_busy.then_some("true")} onclick={on_remove}>{ "Remove it" }</button>
            }
            <button class="button" data-kind="primary" data-test="price-yes" aria-disabled={reason.is_some().then_some("true")} onclick={on_save}>{ "Set" }</button>
        </>
    };
    html! {
        <Modal {title} test="price-dialog" on_close={props.on_close.clone()} {foot}>
            if props.price.is_none() { { field("Model", "price-model", "", &draft.model, "qwen3-coder, or qwen3-*", |draft, text| draft.model = text) } }
            <p class="weak">{ "Dollars for a million tokens" }</p>
            <div class="form rates">
                { field("In", "price-input", "$", &draft.input, "", |draft, text| draft.input = text) }
                { field("From the cache", "price-cache-read", "$", &draft.cache_read, "as in", |draft, text| draft.cache_read = text) }
                { field("To the cache", "price-cache-write", "$", &draft.cache_write, "as in", |draft, text| draft.cache_write = text) }
                { field("Out", "price-output", "$", &draft.output, "", |draft, text| draft.output = text) }
            </div>
            if let Some(error) = &sending.refused { <div data-test="dialog-error">{ refusal(error) }</div> }
        </Modal>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_is_left_alone_is_set_as_it_was() {
        let rates = Rates {
            input: MicroUsd(3_000_000),
            cache_read: Some(MicroUsd(300_000)),
            cache_write: None,
            output: MicroUsd(15_000_000),
        };
        let price = PriceView { model: "qwen3-*".to_owned(), rates };
        assert_eq!(Draft::of(&price).call(), Ok(SetPrice { model: "qwen3-*".to_owned(), rates: Some(rates) }));
    }

    #[test]
    fn what_makes_no_price_is_said_before_it_is_sent() {
        let draft = |model: &str, input: &str| Draft {
            model: model.to_owned(),
            input: input.to_owned(),
            output: "1".to_owned(),
            ..Draft::default()
        };
        assert_eq!(draft(" ", "1").call(), Err(Problem::Model));
        assert_eq!(draft("a*b", "1").call(), Err(Problem::Star));
        assert_eq!(draft("**", "1").call(), Err(Problem::Star));
        assert_eq!(draft("a", "").call(), Err(Problem::Price));
        assert_eq!(Draft { cache_read: "x".to_owned(), ..draft("a", "1") }.call(), Err(Problem::Price));
        // A model of one's own may cost nothing.
        assert!(draft("a", "0").call().is_ok());
    }
}
