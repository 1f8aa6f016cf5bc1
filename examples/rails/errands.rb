# frozen_string_literal: true

# Jobs of plain Active Job, without Rails. What they did is in the file that JOURNAL names.

require "active_job"

module Errands
  class Busy < StandardError; end
  class Closed < StandardError; end

  class Errand < ActiveJob::Base
    before_perform { |job| job.note("begins") }
    after_perform { |job| job.note("ends") }

    def note(what)
      File.write(ENV.fetch("JOURNAL", "journal"), "#{self.class.name} #{executions} #{what}\n", mode: "a")
    end
  end

  # Symbols, keywords and times arrive as what they were.
  class Post < Errand
    def perform(parcel, to:, at:, options: {})
      note("#{parcel} to #{to.inspect}, #{at.class} #{at.utc.iso8601}, #{options.to_a.inspect}")
    end
  end

  # Answers at the third ring.
  class Call < Errand
    retry_on Busy, wait: 0, attempts: 5

    def perform(number)
      raise Busy, "#{number} is busy" if executions < 3
    end
  end

  # Never answers.
  class CallInVain < Errand
    retry_on Busy, wait: 0, attempts: 2

    def perform(number)
      raise Busy, "#{number} is busy"
    end
  end

  # Is not worth another try.
  class Shop < Errand
    discard_on(Closed) { |job, error| job.note("discarded: #{error.message}") }

    def perform
      raise Closed, "closed on Sundays"
    end
  end

  # Writes to where answers go, in three ways.
  class Sing < Errand
    def perform
      puts '{"outcome": "fail"}'
      STDOUT.write("tra la la\n")
      system("echo hey ho; cat")
    end
  end

  # Gives work to others.
  class Delegate < Errand
    def perform(parcel)
      Post.set(queue: "post", priority: 3).perform_later(parcel, to: :joe, at: Time.utc(2026, 1, 2, 3, 4, 5))
    end
  end

  # Ends the process that runs it, or means to.
  class Leave < Errand
    def perform
      exit
    end
  end
end
