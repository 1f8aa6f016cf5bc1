-- In which time zone a task's schedule is meant that names none. Only tasks whose row of solid_queue_recurring_tasks is a static one, just as
-- Rails' scheduler writes it from recurring.yml, have one: their schedule is the text of that file.
alter table gritstone_schedule add column time_zone varchar;
