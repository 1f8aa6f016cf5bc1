-- What Solid Queue has no column for. Every statement may run again: MySQL commits each one by itself.
-- Only gritstone_jobs cascades with a job: every cascading table costs each deleted
-- job about 2 µs even when it is empty.

-- A job has a row here only if it needs one.
create table if not exists gritstone_jobs (
    job_id bigint not null primary key,
    -- how often a worker died while it ran this job
    interruptions int default 0 not null,
    interrupted_at datetime(6),
    -- how many runs it may have in all, when its enqueuer said so
    attempts int,
    constraint fk_gritstone_jobs_job foreign key (job_id) references solid_queue_jobs (id) on delete cascade
) engine=InnoDB default charset=utf8mb4;

-- What Gritstone's own processes say of themselves beyond Solid Queue's row. A claim locks this row first.
create table if not exists gritstone_processes (
    process_id bigint not null primary key,
    -- drawn anew at each start: tells a restarted container from its predecessor
    incarnation varchar(255) not null,
    cluster_id varchar(255),
    namespace varchar(255),
    pod varchar(255),
    pod_uid varchar(255),
    -- while this lies ahead, the process claims nothing
    cordoned_until datetime(6),
    -- claims that were fetched ahead and have not started, as a JSON array of claim ids
    unstarted text,
    -- deaths of this process that each of its jobs survives; 0: they fail at once, as Solid Queue's do
    max_interruptions int default 3 not null,
    done bigint default 0 not null,
    failed bigint default 0 not null,
    busy_micros bigint default 0 not null,
    key index_gritstone_processes_on_pod_uid (pod_uid),
    constraint fk_gritstone_processes_process foreign key (process_id) references solid_queue_processes (id) on delete cascade
) engine=InnoDB default charset=utf8mb4;

-- Settings that all processes share.
create table if not exists gritstone_settings (
    name varchar(255) primary key,
    value text not null,
    updated_at datetime(6) not null
) engine=InnoDB default charset=utf8mb4;

-- Concurrency limits, by exact key or by group (a key's text before the first '/').
create table if not exists gritstone_limits (
    name varchar(255) primary key,
    capacity int not null,
    duration_micros bigint not null,
    on_conflict varchar(255) not null,
    created_at datetime(6) not null,
    updated_at datetime(6) not null
) engine=InnoDB default charset=utf8mb4;

-- Slots given back and not yet handed on: written with the state change, worked off just after it.
create table if not exists gritstone_signals (
    id bigint not null auto_increment primary key,
    concurrency_key varchar(255) not null,
    created_at datetime(6) not null,
    key index_gritstone_signals_on_concurrency_key (concurrency_key)
) engine=InnoDB default charset=utf8mb4;

-- Ids and keys that may be taken once. They outlive nothing by themselves: the dispatcher sweeps those whose job is gone.
-- Compared exactly, whatever the database's collation says of upper and lower case; longer than an id, for what stands before it.
create table if not exists gritstone_unique_keys (
    name varchar(300) character set utf8mb4 collate utf8mb4_bin primary key,
    job_id bigint not null,
    created_at datetime(6) not null
) engine=InnoDB default charset=utf8mb4;

-- Who holds a slot of a declared limit: the jobs that are ready or claimed under its key. A semaphore's value is the limit
-- less the rows here, so a lost or doubled signal can't leave it wrong.
create table if not exists gritstone_slots (
    job_id bigint primary key,
    concurrency_key varchar(255) not null,
    created_at datetime(6) not null,
    key index_gritstone_slots_on_concurrency_key (concurrency_key)
) engine=InnoDB default charset=utf8mb4;
