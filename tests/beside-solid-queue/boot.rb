# frozen_string_literal: true

# A Rails application whose queue adapter is Solid Queue; DATABASE_URL is handed to it as SOLID_QUEUE_DATABASE, since handlers aren't
# given the former.

require "rails"
require "active_record/railtie"
require "active_job/railtie"
require "solid_queue"

ENV["DATABASE_URL"] = ENV.fetch("SOLID_QUEUE_DATABASE")

class Application < Rails::Application
  config.root = __dir__
  config.eager_load = false
  config.load_defaults 7.2
  config.logger = Logger.new($stderr)
  config.log_level = :warn
  config.active_job.queue_adapter = :solid_queue
  config.secret_key_base = "0" * 64
end

Application.initialize!

# What ran, and when: a line each, whole.
module Ledger
  def self.write(*words)
    File.open(ENV.fetch("LEDGER"), "a") do |file|
      file.flock(File::LOCK_EX)
      file.write("#{Process.clock_gettime(Process::CLOCK_MONOTONIC)} #{words.join(" ")}\n")
    end
  end
end

class Plain < ActiveJob::Base
  def perform(number)
    Ledger.write("Plain", number)
  end
end

class Again < ActiveJob::Base
  retry_on RuntimeError, wait: 1.second, attempts: 4

  def perform(number)
    Ledger.write("Again", number, executions)
    raise "again" if executions < 3
  end
end

class InVain < ActiveJob::Base
  retry_on RuntimeError, wait: 1.second, attempts: 2

  def perform(number)
    Ledger.write("InVain", number, executions)
    raise "never"
  end
end

class Limited < ActiveJob::Base
  limits_concurrency to: 2, key: ->(key, _) { key }, duration: 2.minutes

  def perform(key, number)
    Ledger.write("Limited", number, key, "begins")
    sleep 0.03
    Ledger.write("Limited", number, key, "ends")
  end
end
