# frozen_string_literal: true

# Solid Queue's own processes: any of `worker` and `dispatcher`.

require_relative "boot"

processes = ARGV.map do |kind|
  case kind
  when "worker" then SolidQueue::Worker.new(queues: "*", threads: 4, polling_interval: 0.1)
  when "dispatcher" then SolidQueue::Dispatcher.new(polling_interval: 0.3, concurrency_maintenance_interval: 5)
  else abort "#{kind}: neither worker nor dispatcher"
  end
end
processes.each do |process|
  process.mode = :async
  process.start
end
trap("TERM") do
  Thread.new do
    processes.each(&:stop)
    exit!(0)
  end
end
sleep
