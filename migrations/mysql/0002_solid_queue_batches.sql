-- Batches, as Solid Queue 1.7 has them. On tables that Rails made this runs only when asked for.

alter table solid_queue_jobs add column batch_id bigint, add key index_solid_queue_jobs_on_batch_id (batch_id);

create table if not exists solid_queue_batches (
    id bigint not null auto_increment primary key,
    active_job_batch_id varchar(255),
    description varchar(255),
    on_finish text,
    on_success text,
    on_failure text,
    metadata text,
    total_jobs int default 0 not null,
    completed_jobs int default 0 not null,
    failed_jobs int default 0 not null,
    enqueued_at datetime(6),
    finished_at datetime(6),
    failed_at datetime(6),
    created_at datetime(6) not null,
    updated_at datetime(6) not null,
    unique key index_solid_queue_batches_on_active_job_batch_id (active_job_batch_id),
    key index_solid_queue_batches_on_finished_at (finished_at)
) engine=InnoDB default charset=utf8mb4;

create table if not exists solid_queue_batch_executions (
    id bigint not null auto_increment primary key,
    job_id bigint not null,
    batch_id bigint not null,
    created_at datetime(6) not null,
    constraint fk_rails_bc9f981155 foreign key (job_id) references solid_queue_jobs (id) on delete cascade,
    constraint fk_rails_7c5e073422 foreign key (batch_id) references solid_queue_batches (id) on delete cascade,
    unique key index_solid_queue_batch_executions_on_job_id (job_id),
    key index_solid_queue_batch_executions_on_batch_id (batch_id)
) engine=InnoDB default charset=utf8mb4;
