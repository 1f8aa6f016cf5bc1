-- Recurring tasks, as far as solid_queue_recurring_tasks has no column for them. A task of Rails has no row here and is left alone.
create table gritstone_schedule (
    task_key varchar primary key,
    -- whose the task is: nobody else changes or removes it
    owner text not null,
    -- its row of solid_queue_recurring_tasks, which says when and what; without one both stand below
    recurring_task_id bigint,
    -- every so long, counted from 1970 plus the offset, which no cron can say
    every_micros bigint,
    offset_micros bigint,
    class_name varchar,
    arguments text,
    queue_name varchar,
    priority integer,
    description text,
    -- skip, latest, all
    missed_runs varchar not null,
    missed_limit integer not null,
    -- by its own definition, and by hand
    suspended boolean default false not null,
    suspended_by_hand boolean default false not null,
    -- Runs up to this moment are over, made or not: a run compares this and sets it in the transaction that enqueues.
    -- It outlives every job, and with it the rows of solid_queue_recurring_executions.
    run_after timestamp(6) not null,
    last_run_at timestamp(6),
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_gritstone_schedule_on_recurring_task_id on gritstone_schedule (recurring_task_id);
