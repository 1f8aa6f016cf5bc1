-- What Solid Queue has no column for. Only gritstone_jobs cascades with a job: every cascading table costs each deleted
-- job about 2 µs even when it is empty.

-- A job has a row here only if it needs one.
create table gritstone_jobs (
    job_id bigint primary key references solid_queue_jobs (id) on delete cascade,
    -- how often a worker died while it ran this job
    interruptions integer default 0 not null,
    interrupted_at timestamp(6),
    -- how many runs it may have in all, when its enqueuer said so
    attempts integer
);

-- What Gritstone's own processes say of themselves beyond Solid Queue's row. A claim locks this row first.
create table gritstone_processes (
    process_id bigint primary key references solid_queue_processes (id) on delete cascade,
    -- drawn anew at each start: tells a restarted container from its predecessor
    incarnation varchar not null,
    cluster_id varchar,
    namespace varchar,
    pod varchar,
    pod_uid varchar,
    -- while this lies ahead, the process claims nothing
    cordoned_until timestamp(6),
    -- claims that were fetched ahead and have not started, as a JSON array of claim ids
    unstarted text,
    -- deaths of this process that each of its jobs survives; 0: they fail at once, as Solid Queue's do
    max_interruptions integer default 3 not null,
    done bigint default 0 not null,
    failed bigint default 0 not null,
    busy_micros bigint default 0 not null
);
create index index_gritstone_processes_on_pod_uid on gritstone_processes (pod_uid);

-- Settings that all processes share.
create table gritstone_settings (
    name varchar primary key,
    value text not null,
    updated_at timestamp(6) not null
);

-- Concurrency limits, by exact key or by group (a key's text before the first '/').
create table gritstone_limits (
    name varchar primary key,
    capacity integer not null,
    duration_micros bigint not null,
    on_conflict varchar not null,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

-- Slots given back and not yet handed on: written with the state change, worked off just after it.
create table gritstone_signals (
    id bigserial primary key,
    concurrency_key varchar not null,
    created_at timestamp(6) not null
);
create index index_gritstone_signals_on_concurrency_key on gritstone_signals (concurrency_key);

-- Ids and keys that may be taken once. They outlive nothing by themselves: the dispatcher sweeps those whose job is gone.
create table gritstone_unique_keys (
    name varchar primary key,
    job_id bigint not null,
    created_at timestamp(6) not null
);

-- Who holds a slot of a declared limit: the jobs that are ready or claimed under its key. A semaphore's value is the limit
-- less the rows here, so a lost or doubled signal can't leave it wrong.
create table gritstone_slots (
    job_id bigint primary key,
    concurrency_key varchar not null,
    created_at timestamp(6) not null
);
create index index_gritstone_slots_on_concurrency_key on gritstone_slots (concurrency_key);
