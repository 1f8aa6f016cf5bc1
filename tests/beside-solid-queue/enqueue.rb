# frozen_string_literal: true

require_relative "boot"

count = Integer(ARGV.fetch(0))
count.times do |i|
  Plain.perform_later(i)
  Again.perform_later(i)
  Limited.perform_later("key#{i % 3}", i)
  Limited.set(wait: 1.second).perform_later("key#{i % 3}", count + i)
  Plain.set(wait: 2.seconds).perform_later(count + i)
end
5.times { |i| InVain.perform_later(i) }
ActiveJob.perform_all_later(count.times.map { |i| Limited.new("bulk", 2 * count + i) })
