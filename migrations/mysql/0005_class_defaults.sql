-- What jobs of a class have unless whoever enqueues them says otherwise; read by every enqueuer.
-- Every statement may run again: MySQL commits each one by itself.
create table if not exists gritstone_class_defaults (
    class_name varchar(255) primary key,
    -- the manifest or program that said so last
    declared_by varchar(255) not null,
    queue_name varchar(255),
    priority int,
    -- how many runs its jobs have in all
    attempts int,
    -- the group of its limit, whose numbers are in gritstone_limits
    limit_group varchar(255),
    -- what tells its jobs apart for that: a JSON list of texts and of ways to an argument, as ["eu", [0, "account_id"]]
    limit_key text,
    created_at datetime(6) not null,
    updated_at datetime(6) not null
) engine=InnoDB default charset=utf8mb4;

-- A limit that a person set holds, whatever manifests and programs declare; what a manifest says is kept beside it.
alter table gritstone_limits
    add column by_hand tinyint(1) default 0 not null,
    add column manifest varchar(255),
    add column manifest_capacity int,
    add column manifest_duration_micros bigint,
    add column manifest_on_conflict varchar(255);
