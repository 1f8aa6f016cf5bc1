-- Batches, as Solid Queue 1.7 has them. On tables that Rails made this runs only when asked for.

alter table solid_queue_jobs add column batch_id bigint;
create index index_solid_queue_jobs_on_batch_id on solid_queue_jobs (batch_id);

create table solid_queue_batches (
    id bigserial primary key,
    active_job_batch_id varchar,
    description varchar,
    on_finish text,
    on_success text,
    on_failure text,
    metadata text,
    total_jobs integer default 0 not null,
    completed_jobs integer default 0 not null,
    failed_jobs integer default 0 not null,
    enqueued_at timestamp(6),
    finished_at timestamp(6),
    failed_at timestamp(6),
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_solid_queue_batches_on_active_job_batch_id on solid_queue_batches (active_job_batch_id);
create index index_solid_queue_batches_on_finished_at on solid_queue_batches (finished_at);

create table solid_queue_batch_executions (
    id bigserial primary key,
    job_id bigint not null,
    batch_id bigint not null,
    created_at timestamp(6) not null,
    constraint fk_rails_bc9f981155 foreign key (job_id) references solid_queue_jobs (id) on delete cascade,
    constraint fk_rails_7c5e073422 foreign key (batch_id) references solid_queue_batches (id) on delete cascade
);
create unique index index_solid_queue_batch_executions_on_job_id on solid_queue_batch_executions (job_id);
create index index_solid_queue_batch_executions_on_batch_id on solid_queue_batch_executions (batch_id);
