-- The tables of Solid Queue, as its installer makes them in Rails 7.2 and later: names, types, indexes and keys alike.

create table solid_queue_jobs (
    id bigserial primary key,
    queue_name varchar not null,
    class_name varchar not null,
    arguments text,
    priority integer default 0 not null,
    active_job_id varchar,
    scheduled_at timestamp(6),
    finished_at timestamp(6),
    concurrency_key varchar,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_solid_queue_jobs_for_alerting on solid_queue_jobs (scheduled_at, finished_at);
create index index_solid_queue_jobs_for_filtering on solid_queue_jobs (queue_name, finished_at);
create index index_solid_queue_jobs_on_active_job_id on solid_queue_jobs (active_job_id);
create index index_solid_queue_jobs_on_class_name on solid_queue_jobs (class_name);
create index index_solid_queue_jobs_on_finished_at on solid_queue_jobs (finished_at);

create table solid_queue_blocked_executions (
    id bigserial primary key,
    job_id bigint not null,
    queue_name varchar not null,
    priority integer default 0 not null,
    concurrency_key varchar not null,
    expires_at timestamp(6) not null,
    created_at timestamp(6) not null,
    constraint fk_rails_4cd34e2228 foreign key (job_id) references solid_queue_jobs (id) on delete cascade
);
create index index_solid_queue_blocked_executions_for_maintenance on solid_queue_blocked_executions (expires_at, concurrency_key);
create index index_solid_queue_blocked_executions_for_release on solid_queue_blocked_executions (concurrency_key, priority, job_id);
create unique index index_solid_queue_blocked_executions_on_job_id on solid_queue_blocked_executions (job_id);

create table solid_queue_claimed_executions (
    id bigserial primary key,
    job_id bigint not null,
    process_id bigint,
    created_at timestamp(6) not null,
    constraint fk_rails_9cfe4d4944 foreign key (job_id) references solid_queue_jobs (id) on delete cascade
);
create unique index index_solid_queue_claimed_executions_on_job_id on solid_queue_claimed_executions (job_id);
create index index_solid_queue_claimed_executions_on_process_id_and_job_id on solid_queue_claimed_executions (process_id, job_id);

create table solid_queue_failed_executions (
    id bigserial primary key,
    job_id bigint not null,
    error text,
    created_at timestamp(6) not null,
    constraint fk_rails_39bbc7a631 foreign key (job_id) references solid_queue_jobs (id) on delete cascade
);
create unique index index_solid_queue_failed_executions_on_job_id on solid_queue_failed_executions (job_id);

create table solid_queue_pauses (
    id bigserial primary key,
    queue_name varchar not null,
    created_at timestamp(6) not null
);
create unique index index_solid_queue_pauses_on_queue_name on solid_queue_pauses (queue_name);

create table solid_queue_processes (
    id bigserial primary key,
    kind varchar not null,
    last_heartbeat_at timestamp(6) not null,
    supervisor_id bigint,
    pid integer not null,
    hostname varchar,
    metadata text,
    created_at timestamp(6) not null,
    name varchar not null
);
create index index_solid_queue_processes_on_last_heartbeat_at on solid_queue_processes (last_heartbeat_at);
create unique index index_solid_queue_processes_on_name_and_supervisor_id on solid_queue_processes (name, supervisor_id);
create index index_solid_queue_processes_on_supervisor_id on solid_queue_processes (supervisor_id);

create table solid_queue_ready_executions (
    id bigserial primary key,
    job_id bigint not null,
    queue_name varchar not null,
    priority integer default 0 not null,
    created_at timestamp(6) not null,
    constraint fk_rails_81fcbd66af foreign key (job_id) references solid_queue_jobs (id) on delete cascade
);
create index index_solid_queue_poll_all on solid_queue_ready_executions (priority, job_id);
create index index_solid_queue_poll_by_queue on solid_queue_ready_executions (queue_name, priority, job_id);
create unique index index_solid_queue_ready_executions_on_job_id on solid_queue_ready_executions (job_id);

create table solid_queue_recurring_executions (
    id bigserial primary key,
    job_id bigint not null,
    task_key varchar not null,
    run_at timestamp(6) not null,
    created_at timestamp(6) not null,
    constraint fk_rails_318a5533ed foreign key (job_id) references solid_queue_jobs (id) on delete cascade
);
create unique index index_solid_queue_recurring_executions_on_job_id on solid_queue_recurring_executions (job_id);
create unique index index_solid_queue_recurring_executions_on_task_key_and_run_at on solid_queue_recurring_executions (task_key, run_at);

create table solid_queue_recurring_tasks (
    id bigserial primary key,
    key varchar not null,
    schedule varchar not null,
    command varchar(2048),
    class_name varchar,
    arguments text,
    queue_name varchar,
    priority integer default 0,
    static boolean default true not null,
    description text,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_solid_queue_recurring_tasks_on_key on solid_queue_recurring_tasks (key);
create index index_solid_queue_recurring_tasks_on_static on solid_queue_recurring_tasks (static);

create table solid_queue_scheduled_executions (
    id bigserial primary key,
    job_id bigint not null,
    queue_name varchar not null,
    priority integer default 0 not null,
    scheduled_at timestamp(6) not null,
    created_at timestamp(6) not null,
    constraint fk_rails_c4316f352d foreign key (job_id) references solid_queue_jobs (id) on delete cascade
);
create index index_solid_queue_dispatch_all on solid_queue_scheduled_executions (scheduled_at, priority, job_id);
create unique index index_solid_queue_scheduled_executions_on_job_id on solid_queue_scheduled_executions (job_id);

create table solid_queue_semaphores (
    id bigserial primary key,
    key varchar not null,
    value integer default 1 not null,
    expires_at timestamp(6) not null,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_solid_queue_semaphores_on_expires_at on solid_queue_semaphores (expires_at);
create unique index index_solid_queue_semaphores_on_key on solid_queue_semaphores (key);
create index index_solid_queue_semaphores_on_key_and_value on solid_queue_semaphores (key, value);
