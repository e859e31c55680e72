CREATE ROLE factory_user LOGIN PASSWORD '@PASSWORD@';
CREATE DATABASE factory_monitoring OWNER factory_user;
