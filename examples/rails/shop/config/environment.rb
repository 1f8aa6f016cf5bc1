# frozen_string_literal: true

# A Rails application in one file: a record, and a job that is given it.

require "logger"
require "rails"
require "securerandom"
require "active_record/railtie"
require "active_job/railtie"

class Shop < Rails::Application
  config.root = File.expand_path("..", __dir__)
  config.eager_load = false
  config.logger = Logger.new($stderr)
  config.secret_key_base = SecureRandom.hex(64)
end

Shop.initialize!

# `if_not_exists` first looks, and then makes it: another process may have come in between.
unless ActiveRecord::Base.connection.table_exists?(:orders)
  begin
    ActiveRecord::Base.connection.create_table(:orders) { |t| t.string :state, null: false, default: "open" }
  rescue ActiveRecord::StatementInvalid => e
    raise unless e.message.include?("already exists")
  end
end

class Order < ActiveRecord::Base
end

class ShipOrder < ActiveJob::Base
  discard_on ActiveJob::DeserializationError

  def perform(order, by:)
    order.update!(state: "shipped by #{by}")
  end
end
