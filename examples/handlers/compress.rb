#!/usr/bin/env ruby
# Compresses files: a long-lived handler that reads a job per line and answers with a line.
#
# A job of class CompressFile has two arguments: the file, and where its .gz goes. While it runs it says how far it is, and
# stops when it is told to.

require "fileutils"
require "json"
require "zlib"

CHUNK = 1 << 20
SAY_EVERY = 64 * CHUNK

# The engine wants the job to end now: it is shutting down, or the job's time is up.
class Stopped < StandardError; end

# Writes target whole or not at all, and twice the same: a run may be cut short and followed by another.
def compress(source, target)
  File.open(source, "rb") do |content|
    FileUtils.mkdir_p(File.dirname(target))
    half = "#{target}.#{Process.pid}.half"
    begin
      Zlib::GzipWriter.open(half) do |compressed|
        compressed.mtime = 0
        while (chunk = content.read(CHUNK))
          compressed.write(chunk)
          yield content.pos
        end
      end
      File.rename(half, target)
    ensure
      FileUtils.rm_f(half)
    end
  end
end

# Runs one job; returns its answer.
def run(job, cancelled)
  source, target = job["arguments"]
  compress(source, target) do |bytes|
    raise Stopped if cancelled[job["claim"]]
    say(job, progress: { bytes: bytes }) if (bytes % SAY_EVERY).zero?
  end
  say(job, log: "compressed #{source} to #{File.size(target)} bytes")
  { outcome: "done" }
rescue Stopped
  { outcome: "release" }
rescue Errno::ENOENT, Errno::ENOTDIR => error
  # It won't come back by trying again.
  { outcome: "fail", error: described(error) }
rescue StandardError => error
  { outcome: "retry", error: described(error) }
end

def described(error)
  { exception_class: error.class.name, message: error.message, backtrace: error.backtrace }
end

def say(job, line)
  $stdout.puts(JSON.generate({ claim: job["claim"] }.merge(line)))
end

$stdout.sync = true
jobs = Queue.new
cancelled = {}
# Jobs are read in a thread of its own: one runs when its cancel arrives.
Thread.new do
  $stdin.each_line do |line|
    message = JSON.parse(line)
    if message.key?("cancel")
      cancelled[message["cancel"]] = true
    else
      jobs << message
    end
  end
ensure
  jobs.close
end

while (job = jobs.pop)
  say(job, run(job, cancelled))
  cancelled.delete(job["claim"])
end
