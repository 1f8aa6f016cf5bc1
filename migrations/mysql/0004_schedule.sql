-- Recurring tasks, as far as solid_queue_recurring_tasks has no column for them. A task of Rails has no row here and is left alone.
-- Every statement may run again: MySQL commits each one by itself.
create table if not exists gritstone_schedule (
    task_key varchar(255) primary key,
    -- whose the task is: nobody else changes or removes it
    owner text not null,
    -- its row of solid_queue_recurring_tasks, which says when and what; without one both stand below
    recurring_task_id bigint,
    -- every so long, counted from 1970 plus the offset, which no cron can say
    every_micros bigint,
    offset_micros bigint,
    class_name varchar(255),
    arguments text,
    queue_name varchar(255),
    priority int,
    description text,
    -- skip, latest, all
    missed_runs varchar(255) not null,
    missed_limit int not null,
    -- by its own definition, and by hand
    suspended tinyint(1) default 0 not null,
    suspended_by_hand tinyint(1) default 0 not null,
    -- Runs up to this moment are over, made or not: a run compares this and sets it in the transaction that enqueues.
    -- It outlives every job, and with it the rows of solid_queue_recurring_executions.
    run_after datetime(6) not null,
    last_run_at datetime(6),
    created_at datetime(6) not null,
    updated_at datetime(6) not null,
    unique key index_gritstone_schedule_on_recurring_task_id (recurring_task_id)
) engine=InnoDB default charset=utf8mb4;
