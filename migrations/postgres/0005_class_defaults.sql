-- What jobs of a class have unless whoever enqueues them says otherwise; read by every enqueuer.
create table gritstone_class_defaults (
    class_name varchar primary key,
    -- the manifest or program that said so last
    declared_by varchar not null,
    queue_name varchar,
    priority integer,
    -- how many runs its jobs have in all
    attempts integer,
    -- the group of its limit, whose numbers are in gritstone_limits
    limit_group varchar,
    -- what tells its jobs apart for that: a JSON list of texts and of ways to an argument, as ["eu", [0, "account_id"]]
    limit_key text,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

-- A limit that a person set holds, whatever manifests and programs declare; what a manifest says is kept beside it.
alter table gritstone_limits
    add column by_hand boolean default false not null,
    add column manifest varchar,
    add column manifest_capacity integer,
    add column manifest_duration_micros bigint,
    add column manifest_on_conflict varchar;
