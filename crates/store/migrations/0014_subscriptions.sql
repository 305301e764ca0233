-- Requests under a subscription cost no money of their own: what they come to by the list of prices is summed up apart.

-- 1 where a subscription pays for it.
ALTER TABLE requests ADD COLUMN is_list_price INTEGER NOT NULL DEFAULT 0;
-- 1 where cost_micro_usd is a list price, and no money.
ALTER TABLE usage ADD COLUMN is_list_price INTEGER NOT NULL DEFAULT 0;

-- wire::cost::ListPrice. Of the columns that there were, amount_micro_usd, unpriced and at_least are of money alone.
ALTER TABLE usage_days ADD COLUMN list_micro_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN list_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN list_unpriced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN list_at_least INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_runs ADD COLUMN list_micro_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_runs ADD COLUMN list_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_runs ADD COLUMN list_unpriced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_runs ADD COLUMN list_at_least INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER usage_summed;
CREATE TRIGGER usage_summed AFTER INSERT ON usage BEGIN
    INSERT INTO usage_days (day, agent, project, model, run, amount_micro_usd, requests, unpriced, at_least, input, cache_read,
                            cache_write, output, reasoning, list_micro_usd, list_requests, list_unpriced, list_at_least)
    VALUES (new.at / 86400000000, new.agent, coalesce(new.project, ''), new.model, new.run,
            coalesce(new.cost_micro_usd, 0) * NOT new.is_list_price, 1, new.cost_micro_usd IS NULL AND NOT new.is_list_price,
            new.is_at_least AND NOT new.is_list_price, new.input, new.cache_read, new.cache_write, new.output, new.reasoning,
            coalesce(new.cost_micro_usd, 0) * new.is_list_price, new.is_list_price, new.cost_micro_usd IS NULL AND new.is_list_price,
            new.is_at_least AND new.is_list_price)
    ON CONFLICT DO UPDATE SET
        run = max(run, excluded.run), amount_micro_usd = amount_micro_usd + excluded.amount_micro_usd,
        requests = requests + 1, unpriced = unpriced + excluded.unpriced, at_least = at_least + excluded.at_least,
        input = input + excluded.input, cache_read = cache_read + excluded.cache_read,
        cache_write = cache_write + excluded.cache_write, output = output + excluded.output,
        reasoning = reasoning + excluded.reasoning, list_micro_usd = list_micro_usd + excluded.list_micro_usd,
        list_requests = list_requests + excluded.list_requests, list_unpriced = list_unpriced + excluded.list_unpriced,
        list_at_least = list_at_least + excluded.list_at_least;
    INSERT INTO usage_runs (run, day, amount_micro_usd, requests, unpriced, at_least, input, cache_read, cache_write, output,
                            reasoning, list_micro_usd, list_requests, list_unpriced, list_at_least)
    VALUES (new.run, new.at / 86400000000, coalesce(new.cost_micro_usd, 0) * NOT new.is_list_price, 1,
            new.cost_micro_usd IS NULL AND NOT new.is_list_price, new.is_at_least AND NOT new.is_list_price, new.input,
            new.cache_read, new.cache_write, new.output, new.reasoning, coalesce(new.cost_micro_usd, 0) * new.is_list_price,
            new.is_list_price, new.cost_micro_usd IS NULL AND new.is_list_price, new.is_at_least AND new.is_list_price)
    ON CONFLICT DO UPDATE SET
        amount_micro_usd = amount_micro_usd + excluded.amount_micro_usd, requests = requests + 1,
        unpriced = unpriced + excluded.unpriced, at_least = at_least + excluded.at_least,
        input = input + excluded.input, cache_read = cache_read + excluded.cache_read,
        cache_write = cache_write + excluded.cache_write, output = output + excluded.output,
        reasoning = reasoning + excluded.reasoning, list_micro_usd = list_micro_usd + excluded.list_micro_usd,
        list_requests = list_requests + excluded.list_requests, list_unpriced = list_unpriced + excluded.list_unpriced,
        list_at_least = list_at_least + excluded.list_at_least;
END;

-- To what programs are signed in inside, as JSON: wire::secret::InsideLogin. Found when the home was measured.
ALTER TABLE homes ADD COLUMN logins TEXT NOT NULL DEFAULT '[]';
