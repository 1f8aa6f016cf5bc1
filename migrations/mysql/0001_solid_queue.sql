-- The tables of Solid Queue, as its installer makes them in Rails 7.2 and later: names, types, indexes and keys alike.
-- No collation is named: MariaDB doesn't know MySQL's, so each database's own default holds.

create table if not exists `solid_queue_jobs` (
    `id` bigint not null auto_increment,
    `queue_name` varchar(255) not null,
    `class_name` varchar(255) not null,
    `arguments` text,
    `priority` int not null default '0',
    `active_job_id` varchar(255) default null,
    `scheduled_at` datetime(6) default null,
    `finished_at` datetime(6) default null,
    `concurrency_key` varchar(255) default null,
    `created_at` datetime(6) not null,
    `updated_at` datetime(6) not null,
    primary key (`id`),
    key `index_solid_queue_jobs_on_active_job_id` (`active_job_id`),
    key `index_solid_queue_jobs_on_class_name` (`class_name`),
    key `index_solid_queue_jobs_on_finished_at` (`finished_at`),
    key `index_solid_queue_jobs_for_filtering` (`queue_name`,`finished_at`),
    key `index_solid_queue_jobs_for_alerting` (`scheduled_at`,`finished_at`)
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_blocked_executions` (
    `id` bigint not null auto_increment,
    `job_id` bigint not null,
    `queue_name` varchar(255) not null,
    `priority` int not null default '0',
    `concurrency_key` varchar(255) not null,
    `expires_at` datetime(6) not null,
    `created_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_blocked_executions_on_job_id` (`job_id`),
    key `index_solid_queue_blocked_executions_for_release` (`concurrency_key`,`priority`,`job_id`),
    key `index_solid_queue_blocked_executions_for_maintenance` (`expires_at`,`concurrency_key`),
    constraint `fk_rails_4cd34e2228` foreign key (`job_id`) references `solid_queue_jobs` (`id`) on delete cascade
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_claimed_executions` (
    `id` bigint not null auto_increment,
    `job_id` bigint not null,
    `process_id` bigint default null,
    `created_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_claimed_executions_on_job_id` (`job_id`),
    key `index_solid_queue_claimed_executions_on_process_id_and_job_id` (`process_id`,`job_id`),
    constraint `fk_rails_9cfe4d4944` foreign key (`job_id`) references `solid_queue_jobs` (`id`) on delete cascade
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_failed_executions` (
    `id` bigint not null auto_increment,
    `job_id` bigint not null,
    `error` text,
    `created_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_failed_executions_on_job_id` (`job_id`),
    constraint `fk_rails_39bbc7a631` foreign key (`job_id`) references `solid_queue_jobs` (`id`) on delete cascade
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_pauses` (
    `id` bigint not null auto_increment,
    `queue_name` varchar(255) not null,
    `created_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_pauses_on_queue_name` (`queue_name`)
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_processes` (
    `id` bigint not null auto_increment,
    `kind` varchar(255) not null,
    `last_heartbeat_at` datetime(6) not null,
    `supervisor_id` bigint default null,
    `pid` int not null,
    `hostname` varchar(255) default null,
    `metadata` text,
    `created_at` datetime(6) not null,
    `name` varchar(255) not null,
    primary key (`id`),
    unique key `index_solid_queue_processes_on_name_and_supervisor_id` (`name`,`supervisor_id`),
    key `index_solid_queue_processes_on_last_heartbeat_at` (`last_heartbeat_at`),
    key `index_solid_queue_processes_on_supervisor_id` (`supervisor_id`)
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_ready_executions` (
    `id` bigint not null auto_increment,
    `job_id` bigint not null,
    `queue_name` varchar(255) not null,
    `priority` int not null default '0',
    `created_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_ready_executions_on_job_id` (`job_id`),
    key `index_solid_queue_poll_all` (`priority`,`job_id`),
    key `index_solid_queue_poll_by_queue` (`queue_name`,`priority`,`job_id`),
    constraint `fk_rails_81fcbd66af` foreign key (`job_id`) references `solid_queue_jobs` (`id`) on delete cascade
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_recurring_executions` (
    `id` bigint not null auto_increment,
    `job_id` bigint not null,
    `task_key` varchar(255) not null,
    `run_at` datetime(6) not null,
    `created_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_recurring_executions_on_job_id` (`job_id`),
    unique key `index_solid_queue_recurring_executions_on_task_key_and_run_at` (`task_key`,`run_at`),
    constraint `fk_rails_318a5533ed` foreign key (`job_id`) references `solid_queue_jobs` (`id`) on delete cascade
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_recurring_tasks` (
    `id` bigint not null auto_increment,
    `key` varchar(255) not null,
    `schedule` varchar(255) not null,
    `command` varchar(2048) default null,
    `class_name` varchar(255) default null,
    `arguments` text,
    `queue_name` varchar(255) default null,
    `priority` int default '0',
    `static` tinyint(1) not null default '1',
    `description` text,
    `created_at` datetime(6) not null,
    `updated_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_recurring_tasks_on_key` (`key`),
    key `index_solid_queue_recurring_tasks_on_static` (`static`)
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_scheduled_executions` (
    `id` bigint not null auto_increment,
    `job_id` bigint not null,
    `queue_name` varchar(255) not null,
    `priority` int not null default '0',
    `scheduled_at` datetime(6) not null,
    `created_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_scheduled_executions_on_job_id` (`job_id`),
    key `index_solid_queue_dispatch_all` (`scheduled_at`,`priority`,`job_id`),
    constraint `fk_rails_c4316f352d` foreign key (`job_id`) references `solid_queue_jobs` (`id`) on delete cascade
) engine=InnoDB default charset=utf8mb4;

create table if not exists `solid_queue_semaphores` (
    `id` bigint not null auto_increment,
    `key` varchar(255) not null,
    `value` int not null default '1',
    `expires_at` datetime(6) not null,
    `created_at` datetime(6) not null,
    `updated_at` datetime(6) not null,
    primary key (`id`),
    unique key `index_solid_queue_semaphores_on_key` (`key`),
    key `index_solid_queue_semaphores_on_expires_at` (`expires_at`),
    key `index_solid_queue_semaphores_on_key_and_value` (`key`,`value`)
) engine=InnoDB default charset=utf8mb4;
