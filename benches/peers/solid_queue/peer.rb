# frozen_string_literal: true

# Solid Queue, as `bench peers` measures it: what was asked for, timed by itself, in seconds on the last line.

USAGE = "usage: version | enqueue URL JOBS BATCH CLIENTS | drain URL JOBS THREADS"

require "rails"
require "active_record/railtie"
require "active_job/railtie"
require "solid_queue"

command, url, *numbers = ARGV
numbers.map! { |number| Integer(number) }
if command == "version"
  yjit = " with YJIT" if defined?(RubyVM::YJIT) && RubyVM::YJIT.enabled?
  puts "Solid Queue #{SolidQueue::VERSION} on Rails #{Rails.version}, Ruby #{RUBY_VERSION}#{yjit}"
  exit
end
abort USAGE unless url
ENV["DATABASE_URL"] = "#{url}?pool=#{numbers.last + 5}"

# As in production, but that a line of log for every job is not written.
class Application < Rails::Application
  config.root = __dir__
  config.eager_load = true
  config.enable_reloading = false
  config.load_defaults Rails.version.to_f
  config.logger = Logger.new($stderr)
  config.log_level = :warn
  config.active_job.queue_adapter = :solid_queue
  config.secret_key_base = "0" * 64
end

Application.initialize!

class Hello < ActiveJob::Base
  RAN = Concurrent::AtomicFixnum.new

  def perform(_number, _word)
    RAN.increment
  end
end

def seconds
  began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  yield
  Process.clock_gettime(Process::CLOCK_MONOTONIC) - began
end

def enqueue(jobs, batch, clients)
  client = lambda do
    (jobs / batch / clients).times { ActiveJob.perform_all_later(Array.new(batch) { Hello.new(1, "two") }) }
  end
  seconds { Array.new(clients) { Thread.new(&client) }.each(&:join) }
end

def drain(jobs, threads)
  # What a supervisor's child runs, in this process.
  worker = SolidQueue::Worker.new(queues: "*", threads: threads, polling_interval: 0.1)
  worker.mode = :async
  took = seconds do
    worker.start
    # The database is asked only at the end, as where Gritstone is measured.
    sleep 0.005 while Hello::RAN.value < jobs
    sleep 0.005 while SolidQueue::ClaimedExecution.exists?
  end
  worker.stop
  took
end

case [command, numbers.length]
when ["enqueue", 3] then puts enqueue(*numbers)
when ["drain", 2] then puts drain(*numbers)
else abort USAGE
end
