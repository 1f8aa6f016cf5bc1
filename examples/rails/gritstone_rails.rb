# frozen_string_literal: true

# Runs Active Job classes, as they are, from Gritstone's engine: a `process` handler that reads a job per line and answers
# with a line.
#
#   ruby gritstone_rails.rb config/environment.rb     a Rails application
#   ruby gritstone_rails.rb jobs.rb ...               files that define jobs
#
# Required by a program, it only gives that program GritstoneRails::EnqueueAdapter, which enqueues with `gritstone enqueue`.

require "active_job"
require "json"
require "open3"
require "time"

module GritstoneRails
  # Where jobs are enqueued that a job enqueues; DATABASE_URL itself isn't handed on to handlers.
  QUEUE_URL = "GRITSTONE_QUEUE_URL"

  # What Active Job counts in the envelope.
  COUNTS = %w[executions exception_executions].freeze

  # What a row keeps for as long as it is there.
  PLACE = %w[queue_name priority].freeze

  # The exception of a job whose row can't be one of Active Job's.
  class UnreadableJob < StandardError; end

  # Stands in for the queue adapter where the job that is running enqueues itself: that is a retry of its own row.
  class RetryAdapter
    # The job as it enqueued itself, or nil while it hasn't; and when it is to run.
    attr_reader :envelope, :timestamp

    def enqueue(job)
      enqueue_at(job, Time.now.to_f)
    end

    def enqueue_at(job, timestamp)
      @envelope = job.serialize
      @timestamp = timestamp.to_f
    end

    # In how many seconds it is to run.
    def delay
      [timestamp - Time.now.to_f, 0].max
    end

    # Whether it enqueued itself with another queue or priority than its row's.
    def moved?(row)
      envelope && envelope.values_at(*PLACE) != row.values_at(*PLACE)
    end

    # Asked by Rails 7.2.
    def enqueue_after_transaction_commit?
      false
    end

    # Asked by Rails 8.1's continuations.
    def stopping?
      false
    end
  end

  # In every job: the running one has an adapter of its own, all others the application's.
  module Retrying
    attr_accessor :gritstone_retry, :gritstone_error

    def queue_adapter
      gritstone_retry || super
    end

    def retry_job(options = {})
      self.gritstone_error = options[:error]
      super
    end
  end

  # Enqueues with `gritstone enqueue`, for programs without a queue adapter that outlives them.
  class EnqueueAdapter
    def enqueue(job)
      enqueue_lines([line(job, nil)])
    end

    def enqueue_at(job, timestamp)
      enqueue_lines([line(job, timestamp)])
    end

    # Called by `perform_all_later`, Rails 7.1.
    def enqueue_all(jobs)
      enqueue_lines(jobs.map { |job| line(job, job.scheduled_at) })
      jobs.each { |job| job.successfully_enqueued = true }.size
    end

    private

    def line(job, at)
      serialized = job.serialize
      {
        "class" => serialized["job_class"], "args" => serialized["arguments"], "queue" => serialized["queue_name"],
        "priority" => serialized["priority"], "id" => serialized["job_id"], "at" => at && Time.at(at.to_r).utc.iso8601(6)
      }.compact
    end

    def enqueue_lines(lines)
      environment = ENV.key?(QUEUE_URL) ? { "DATABASE_URL" => ENV[QUEUE_URL] } : {}
      text = lines.map { |line| JSON.generate(line, max_nesting: 0) }.join("\n")
      said, status = Open3.capture2e(environment, "gritstone", "enqueue", stdin_data: text)
      return if status.success?

      raise "gritstone enqueue has not enqueued #{lines.map { |line| line["class"] }.uniq.join(", ")} " \
            "(inside a handler #{QUEUE_URL} must say where): #{said}"
    end
  end

  # Reads jobs and answers them, until there are no more.
  class Handler
    def initialize(input, output)
      @input = input
      @output = output
    end

    def run
      @input.each_line do |line|
        message = JSON.parse(line, max_nesting: false)
        # Jobs are not interrupted, as Solid Queue doesn't: the engine waits five seconds and ends this process.
        next if message.key?("cancel")

        @output.write(answer(message))
        @output.flush
      end
    end

    private

    def answer(message)
      claim = { "claim" => message["claim"] }
      "#{JSON.generate(claim.merge(outcome_of(message["active_job"])), max_nesting: 0)}\n"
    rescue JSON::GeneratorError => e
      # An argument that JSON has no word for, NaN for one.
      "#{JSON.generate(claim.merge("outcome" => "fail", "error" => error(e)))}\n"
    end

    def outcome_of(envelope)
      job = nil
      retrying = RetryAdapter.new
      # As ActiveJob::Base.execute does it, but keeping hold of the job.
      ActiveJob::Callbacks.run_callbacks(:execute) do
        job = load_job(envelope)
        job.gritstone_retry = retrying
        job.perform_now
      end
      return { "outcome" => "done" } unless retrying.envelope && !moved(job, retrying, envelope)

      retry_of(retrying, envelope, job.gritstone_error)
    rescue SignalException
      raise
    # Everything, as Solid Queue does: a job that calls `exit` must not look like a crash.
    rescue Exception => e
      # It may have enqueued itself before it failed: that run is not lost.
      retrying.envelope ? retry_of(retrying, envelope, e) : failure_of(job, envelope, e)
    end

    def load_job(envelope)
      raise UnreadableJob, "the row has no job_class" unless envelope.is_a?(Hash) && envelope["job_class"].is_a?(String)

      ActiveJob::Base.deserialize(envelope)
    end

    # Enqueues it as Rails would where it has asked for another queue or priority, in a row of its own; false where it may stay. It also stays
    # with `gritstone enqueue`, which begins to count anew.
    def moved(job, retrying, envelope)
      job.gritstone_retry = nil
      return false if !retrying.moved?(envelope) || job.queue_adapter.is_a?(EnqueueAdapter)

      job.queue_adapter.enqueue_at(job, retrying.timestamp)
      true
    end

    # Keys that Active Job doesn't know stay. The row stays too, and with it its queue and priority.
    def retry_of(retrying, envelope, exception)
      updated = envelope.merge(retrying.envelope).merge(envelope.slice(*PLACE, "provider_job_id"))
      answer = { "outcome" => "retry", "delay" => retrying.delay, "active_job" => updated }
      exception ? answer.merge("error" => error(exception)) : answer
    end

    # Arguments stay as they were enqueued, since a failed job may be retried by hand.
    def failure_of(job, envelope, exception)
      answer = { "outcome" => "fail", "error" => error(exception) }
      return answer unless job

      counts = COUNTS.to_h { |key| [key, job.public_send(key)] }
      answer.merge("active_job" => envelope.merge(counts))
    end

    def error(exception)
      {
        "exception_class" => exception.class.name || exception.class.to_s,
        "message" => utf8(exception.message),
        "backtrace" => (exception.backtrace || []).map { |line| utf8(line) }
      }
    end

    def utf8(text)
      text.to_s.encode("UTF-8", invalid: :replace, undef: :replace).scrub
    end
  end

  # The channel to the engine, taken away from the jobs: what they print goes to stderr, what they read is empty.
  def self.take_channel
    input = $stdin.dup
    output = $stdout.dup
    [input, output].each { |stream| stream.set_encoding(Encoding::UTF_8) }
    STDIN.reopen(File::NULL)
    STDOUT.reopen(STDERR)
    STDOUT.sync = true
    [input, output]
  end

  def self.load_application(files)
    files = ["config/environment.rb"] if files.empty?
    missing = files.reject { |file| File.file?(file) }
    abort "#{missing.join(", ")}: no such file in #{Dir.pwd}; name the files that define the jobs" if missing.any?

    files.each { |file| require File.expand_path(file) }
  end

  # Active Job's default keeps jobs in threads of this process, where they are lost with it.
  def self.replace_default_adapter
    adapter = ActiveJob::Base.queue_adapter_name
    ActiveJob::Base.queue_adapter = EnqueueAdapter.new if adapter.nil? || adapter == "async"
  end

  def self.main(files)
    channel = take_channel
    load_application(files)
    replace_default_adapter
    ActiveJob::Base.prepend(Retrying)
    Handler.new(*channel).run
  end
end

GritstoneRails.main(ARGV) if $PROGRAM_NAME == __FILE__
